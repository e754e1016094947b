import Foundation
import StrictYAML

/// What must hold between services: names exist, nobody waits for himself.
struct ServiceChecks {
    let services: [PlacedService]
    let findings: Findings

    func run() {
        let names = services.map(\.settings.name)
        let known = Set(names)
        for service in services {
            for neighbour in service.after + service.before {
                check(neighbour, of: service.settings.name, known: known, names: names)
            }
        }
        checkBuiltins()
        checkCycles()
    }

    private func check(
        _ neighbour: PlacedService.Neighbour, of service: String, known: Set<String>,
        names: [String]
    ) {
        if neighbour.name == service {
            findings.error(neighbour.place, "service \(service) waits for itself", "remove it")
        } else if !known.contains(neighbour.name) {
            findings.error(
                neighbour.place, "no service is called '\(neighbour.name.prefix(60))'",
                NearestName.remedy(
                    for: neighbour.name, in: names.filter { $0 != service }, noun: "services"))
        }
    }

    private func checkBuiltins() {
        var seen: [BuiltinService: String] = [:]
        for service in services {
            guard case .builtin(let builtin) = service.settings.program else { continue }
            if let first = seen[builtin] {
                findings.error(
                    service.place, "\(builtin.rawValue) already runs as service \(first)",
                    "remove one of the two")
            }
            seen[builtin] = service.settings.name
        }
    }

    private func checkCycles() {
        var waitsFor: [String: [String]] = [:]
        for service in services {
            let name = service.settings.name
            waitsFor[name, default: []] += service.settings.after.filter { $0 != name }
            for later in service.settings.before where later != name {
                waitsFor[later, default: []].append(name)
            }
        }
        guard let cycle = cycle(in: waitsFor),
            let first = services.first(where: { $0.settings.name == cycle.first })
        else { return }
        findings.error(
            first.place, "services wait for each other: \(cycle.joined(separator: " → "))",
            "remove one of these after or before")
    }

    /// Takes away what waits for nothing until nothing more can go; what is left is in a cycle, or
    /// waits for one.
    private func cycle(in waitsFor: [String: [String]]) -> [String]? {
        let names = services.map(\.settings.name)
        var left = Set(names)
        var shrinks = true
        while shrinks {
            let free = left.filter { name in
                !(waitsFor[name] ?? []).contains { left.contains($0) }
            }
            left.subtract(free)
            shrinks = !free.isEmpty
        }
        guard var name = names.first(where: { left.contains($0) }) else { return nil }
        var path: [String] = []
        while !path.contains(name) {
            path.append(name)
            guard let next = (waitsFor[name] ?? []).first(where: { left.contains($0) }) else {
                return nil
            }
            name = next
        }
        return Array(path.drop { $0 != name }) + [name]
    }
}

/// What must hold between sections.
struct ConfigurationChecks {
    let configuration: Configuration
    let findings: Findings

    func run(_ top: YAMLMapping) {
        checkPorts(top)
        // A section that could not be read looks empty, which is not worth a warning.
        guard !findings.hasErrors else { return }
        if configuration.operators.isEmpty {
            findings.warning(
                top.place(ofKey: "operators") ?? top.place, "operators is empty",
                "nobody can change anything; add '{name: NAME, role: admin}'")
        } else if !configuration.operators.contains(where: { $0.role == .admin }) {
            findings.warning(
                top.place(ofKey: "operators") ?? top.place, "no operator is an admin",
                "nobody can approve; give one of them the role admin")
        }
    }

    private func checkPorts(_ top: YAMLMapping) {
        var used = [
            ("listen.ops", configuration.listen.ops),
            ("listen.trading", configuration.listen.trading),
        ]
        // The embedded paper broker listens where the broker section says that it is found.
        let hasPaperBroker = configuration.services.contains {
            $0.program == .builtin(.paperBroker)
        }
        let paper = configuration.broker.paper
        if hasPaperBroker, let host = paper.host {
            let port = paper.port ?? (paper.scheme == "https" ? 443 : 80)
            used.append(("the paper broker", HostPort(host: host, port: port)))
        }
        for (index, later) in used.enumerated() {
            for earlier in used[..<index] where Self.clash(earlier.1, later.1) {
                let key = index == 2 ? "broker" : "listen"
                findings.error(
                    top.place(ofKey: key) ?? top.place(ofKey: "listen") ?? top.place,
                    "\(earlier.0) and \(later.0) both listen on port \(later.1.port)",
                    "give one of them another port")
            }
        }
    }

    private static func clash(_ left: HostPort, _ right: HostPort) -> Bool {
        guard left.port == right.port else { return false }
        let left = canonical(left.host)
        let right = canonical(right.host)
        return left == right || left == "*" || right == "*"
    }

    private static func canonical(_ host: String) -> String {
        switch host.lowercased() {
        case "0.0.0.0", "::", "*": "*"
        case "localhost", "::1", "127.0.0.1": "127.0.0.1"
        default: host.lowercased()
        }
    }
}
