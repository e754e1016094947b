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
        _ neighbour: PlacedReference, of service: String, known: Set<String>,
        names: [String]
    ) {
        if neighbour.name == service {
            findings.error(neighbour.place, "service \(service) waits for itself", "remove it")
        } else if !known.contains(neighbour.name) {
            findings.error(
                neighbour.place, "no service is called '\(neighbour.shown)'",
                NearestName.remedy(
                    for: neighbour.name, in: names.filter { $0 != service }, noun: "services"))
        }
    }

    private func checkBuiltins() {
        var seen: [BuiltinService: String] = [:]
        for service in services {
            // Its log would be the file that the trading API's access log is.
            if service.settings.name == "access" {
                findings.error(
                    service.place, "a service cannot be called access",
                    "give it another name: its log would be the access log")
            }
            guard let builtin = service.settings.builtin else { continue }
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
        guard let cycle = Cycle.find(in: waitsFor, names: services.map(\.settings.name)),
            let first = services.first(where: { $0.settings.name == cycle.first })
        else { return }
        findings.error(
            first.place, "services wait for each other: \(cycle.joined(separator: " → "))",
            "remove one of these after or before")
    }
}
