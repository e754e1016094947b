import Foundation
import StrictYAML

/// An entry of `health` and the places that the checks between entries speak of.
struct PlacedHealthCheck {
    var settings: HealthCheckSettings
    let place: Place
    var dependsOn: [PlacedReference] = []
    var service: PlacedReference?
}

/// Reads one entry of `health`.
struct HealthReader {
    let findings: Findings
    let stores: [PlacedStore]
    let datasets: [DatasetSettings]

    static let probes = ["http", "tcp", "command", "path", "file", "pid_file", "service", "store"]

    func read(_ value: YAMLValue) -> PlacedHealthCheck? {
        value.mapping { item in
            let nameValue = item.required("name")
            let name = nameValue.flatMap(ServiceReader.readName)
            let service = PlacedReference.one(item.optional("service"))
            let probe = readProbe(&item, service)
            let timing = CheckTiming.read(&item, timeoutDefault: .seconds(5))
            let dependsOn = PlacedReference.list(item.optional("depends_on"))
            guard let name, let nameValue, let probe else { return nil }
            var settings = HealthCheckSettings(name: name, probe: probe)
            if let period = timing.period { settings.period = period }
            if let timeout = timing.timeout { settings.timeout = timeout }
            if let threshold = timing.threshold { settings.threshold = threshold }
            if let threshold = timing.successThreshold { settings.successThreshold = threshold }
            settings.degradedFrom = timing.degradedFrom
            settings.dependsOn = dependsOn.map(\.name)
            return PlacedHealthCheck(
                settings: settings, place: nameValue.place, dependsOn: dependsOn, service: service)
        }
    }

    private func readProbe(
        _ item: inout YAMLMapping, _ service: PlacedReference?
    ) -> HealthCheckSettings.Probe? {
        let present = item.present(ofAlternatives: Self.probes)
        if present.count != 1 {
            item.refuse(
                present.isEmpty
                    ? "the check asks nothing"
                    : "the check has \(present.count) probes: \(present.joined(separator: ", "))",
                "write exactly one of \(Self.probes.joined(separator: ", "))")
        }
        let stale = item.optional("stale_after")?.duration()
        let storeReader = StoreProbeReader(
            stores: stores, datasets: datasets, findings: findings)
        let probes: [String: HealthCheckSettings.Probe?] = [
            "http": readHTTP(&item, isPresent: present.contains("http")),
            "tcp": item.optional("tcp")?.hostPort().map { .tcp($0) },
            "command": item.optional("command").flatMap(CommandWords.read).map { .command($0) },
            "path": readDisk(&item, isPresent: present.contains("path")),
            "file": readFile(&item, stale, isPresent: present.contains("file")),
            "pid_file": AbsolutePath.read(item.optional("pid_file")).map { .process(pidFile: $0) },
            "service": service.map { .service($0.name) },
            "store": storeReader.read(&item, stale).map { .store($0) },
        ]
        guard present.count == 1, let only = present.first else { return nil }
        return probes[only].flatMap { $0 }
    }

    private func readHTTP(
        _ item: inout YAMLMapping, isPresent: Bool
    ) -> HealthCheckSettings.Probe? {
        let url = item.optional("http")?.url()
        let status = item.optional("status")?.integer(in: 100...599)
        refuse("status", without: "http", isPresent: isPresent, item)
        return url.map { .http($0, status: status) }
    }

    private func readDisk(
        _ item: inout YAMLMapping, isPresent: Bool
    ) -> HealthCheckSettings.Probe? {
        let value = item.optional("path")
        let path = AbsolutePath.read(value)
        let margin = item.optional("free_below")?.margin()
        refuse("free_below", without: "path", isPresent: isPresent, item)
        require("free_below", with: "path", "10%", isPresent: isPresent, item)
        guard let path, let margin else { return nil }
        if !FileManager.default.fileExists(atPath: path) {
            value?.warn("\(value?.shown ?? path) does not exist", "create it, or correct the path")
        }
        return .disk(path: path, freeBelow: margin)
    }

    private func readFile(
        _ item: inout YAMLMapping, _ stale: Duration?, isPresent: Bool
    ) -> HealthCheckSettings.Probe? {
        let path = AbsolutePath.read(item.optional("file"))
        if item.place(ofKey: "dataset") == nil {
            refuse("stale_after", without: "file", isPresent: isPresent, item)
        }
        require("stale_after", with: "file", "1h", isPresent: isPresent, item)
        guard let path, let stale else { return nil }
        return .fileAge(path: path, staleAfter: stale)
    }

    private func refuse(
        _ key: String, without probe: String, isPresent: Bool, _ item: YAMLMapping
    ) {
        guard !isPresent, let place = item.place(ofKey: key) else { return }
        findings.error(
            place, "\(key) belongs to a check with \(probe)", "remove it, or add '\(probe): …'")
    }

    private func require(
        _ key: String, with probe: String, _ example: String, isPresent: Bool, _ item: YAMLMapping
    ) {
        guard isPresent, !item.contains(key) else { return }
        item.refuse("a check with \(probe) lacks \(key)", "add '\(key): \(example)'")
    }
}

/// What must hold between the entries of `health`: names are unique, and those named exist and do
/// not wait for each other.
struct HealthChecks {
    let checks: [PlacedHealthCheck]
    let services: [String]
    let findings: Findings

    func run() {
        checkNames()
        let names = checks.map(\.settings.name)
        let known = Set(names + services)
        for check in checks {
            if let service = check.service, !services.contains(service.name) {
                refuse(service, "service", services)
            }
            for other in check.dependsOn {
                if other.name == check.settings.name {
                    findings.error(
                        other.place, "check \(other.name) depends on itself", "remove it")
                } else if !known.contains(other.name) {
                    refuse(
                        other, "check or service",
                        (names + services).filter { $0 != check.settings.name })
                }
            }
        }
        checkCycles(names)
    }

    private func checkNames() {
        var seen: [String: Place] = [:]
        for check in checks {
            let name = check.settings.name
            if services.contains(name) {
                findings.error(
                    check.place, "check \(name) has the name of a service",
                    "give it another name, as in \(name)-answers")
            } else if let first = seen[name] {
                findings.error(
                    check.place, "a check called \(name) already stands in line \(first.line)",
                    "give one of the two another name")
            }
            seen[name] = seen[name] ?? check.place
        }
    }

    private func refuse(_ reference: PlacedReference, _ noun: String, _ names: [String]) {
        findings.error(
            reference.place, "no \(noun) is called '\(reference.shown)'",
            NearestName.remedy(
                for: reference.name, in: names,
                noun: noun == "service" ? "services" : "checks and services"))
    }

    private func checkCycles(_ names: [String]) {
        var dependsOn: [String: [String]] = [:]
        for check in checks {
            let name = check.settings.name
            dependsOn[name, default: []] += check.settings.dependsOn.filter { $0 != name }
        }
        guard let cycle = Cycle.find(in: dependsOn, names: names),
            let first = checks.first(where: { $0.settings.name == cycle.first })
        else { return }
        findings.error(
            first.place, "checks depend on each other: \(cycle.joined(separator: " → "))",
            "remove one of these depends_on")
    }
}

/// Finds who waits for himself by way of others.
enum Cycle {
    /// Takes away what waits for nothing until nothing more can go; what is left is in a cycle, or
    /// waits for one. The first name comes again at the end.
    static func find(in waitsFor: [String: [String]], names: [String]) -> [String]? {
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
