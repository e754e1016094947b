import Ledger
import StrictYAML

extension ConfigurationReader {
    func readServices(_ top: inout YAMLMapping, _ result: inout Configuration) {
        if let value = top.optional("services") {
            let reader = ServiceReader(findings: findings)
            let services = value.names(reader.read) ?? []
            result.services = services.map(\.settings)
            ServiceChecks(services: services, findings: findings).run()
            let hasCore = result.services.contains { $0.program == .builtin(.core) }
            if !hasCore, !findings.hasErrors {
                value.warn("services has no core", "nothing trades; add 'core: {builtin: core}'")
            }
        }
        readBroker(top.optional("broker"), &result)
    }
}

/// A service and the places that its checks speak of.
struct PlacedService {
    struct Neighbour {
        let name: String
        let place: Place
    }

    var settings: ServiceSettings
    let place: Place
    var after: [Neighbour] = []
    var before: [Neighbour] = []
}

/// Reads one entry of `services`.
struct ServiceReader {
    let findings: Findings

    func read(_ name: String, _ place: Place, _ value: YAMLValue) -> PlacedService? {
        guard Self.isName(name) else {
            findings.error(
                place, "'\(name.prefix(60))' is not a name",
                "write 1 to 64 letters, digits, '_', '.', '@' or '-'")
            return nil
        }
        return value.mapping { item in
            let program = readProgram(name, &item)
            var service = PlacedService(
                settings: ServiceSettings(name: name, program: program ?? .command([])),
                place: place)
            service.after = readNeighbours(item.optional("after"))
            service.before = readNeighbours(item.optional("before"))
            service.settings.after = service.after.map(\.name)
            service.settings.before = service.before.map(\.name)
            if let value = item.optional("environment") {
                service.settings.environment = readEnvironment(value)
            }
            readRestart(item.optional("restart"), &service.settings.restart)
            if let checks = item.optional("checks") {
                service.settings.checks = checks.sequence(readCheck) ?? []
            }
            readStop(item.optional("stop"), &service.settings.stop)
            return service
        }
    }

    private func readProgram(
        _ name: String, _ item: inout YAMLMapping
    ) -> ServiceSettings.Program? {
        let builtin = item.optional("builtin")
        let command = item.optional("command")
        switch (builtin, command) {
        case (let builtin?, nil):
            return builtin.choice(BuiltinService.self).map { .builtin($0) }
        case (nil, let command?):
            return readCommand(command).map { .command($0) }
        case (nil, nil):
            if !item.contains("builtin"), !item.contains("command") {
                item.refuse(
                    "service \(name) has no program",
                    "add 'command: [program, argument]' or 'builtin: core'")
            }
            return nil
        case (_?, let command?):
            command.refuse(
                "service \(name) has both builtin and command", "remove one of the two")
            return nil
        }
    }

    private func readCommand(_ value: YAMLValue) -> [String]? {
        guard let words = value.sequence({ $0.text() }) else { return nil }
        guard let program = words.first, !program.isEmpty else {
            value.refuse("\(value.name) names no program", "write [program, argument]")
            return nil
        }
        return words
    }

    private func readNeighbours(_ value: YAMLValue?) -> [PlacedService.Neighbour] {
        let names = value?.sequence { item in
            item.nonEmptyText().map { PlacedService.Neighbour(name: $0, place: item.place) }
        }
        return names ?? []
    }

    private func readEnvironment(_ value: YAMLValue) -> [String: Secret] {
        let pairs = value.names { name, place, value -> (String, Secret)? in
            guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0) else {
                findings.error(
                    place, "'\(name.prefix(60))' cannot be a variable's name", "write NAME")
                return nil
            }
            return value.text().map { (name, Secret($0)) }
        }
        return Dictionary(pairs ?? [], uniquingKeysWith: { first, _ in first })
    }

    private func readRestart(_ value: YAMLValue?, _ restart: inout RestartSettings) {
        _ = value?.mapping { item -> Void? in
            if let policy = item.optional("policy")?.choice(RestartPolicy.self) {
                restart.policy = policy
            }
            if let backoff = item.optional("backoff")?.duration() { restart.backoff = backoff }
            if let factor = item.optional("factor")?.decimal(from: ExactDecimal(1)) {
                restart.factor = factor
            }
            if let value = item.optional("limit"), let limit = value.duration() {
                if limit < restart.backoff {
                    value.refuse(
                        "limit is shorter than backoff",
                        "write at least \(YAMLValue.words(for: restart.backoff))")
                }
                restart.limit = limit
            }
            if let reset = item.optional("reset_after")?.duration() { restart.resetAfter = reset }
            return ()
        }
    }

    private func readCheck(_ value: YAMLValue) -> ServiceCheck? {
        value.mapping { item in
            var probes: [ServiceCheck.Probe?] = []
            if let value = item.optional("http") {
                probes.append(value.url().map { .http($0) })
            }
            if let value = item.optional("tcp") {
                probes.append(value.hostPort().map { .tcp($0) })
            }
            if let value = item.optional("command") {
                probes.append(readCommand(value).map { .command($0) })
            }
            if probes.count != 1 {
                item.refuse(
                    "\(value.name) has \(probes.count) probes",
                    "write exactly one of http, tcp, command")
            }
            var check = probes.first.flatMap { $0 }.map { ServiceCheck(probe: $0) }
            let period = item.optional("period")?.duration()
            let timeout = item.optional("timeout")?.duration()
            let threshold = item.optional("threshold")?.integer(in: 1...1_000)
            if let period { check?.period = period }
            if let timeout { check?.timeout = timeout }
            if let threshold { check?.threshold = threshold }
            return check
        }
    }

    private func readStop(_ value: YAMLValue?, _ stop: inout StopSettings) {
        _ = value?.mapping { item -> Void? in
            if let signal = item.optional("signal")?.choice(StopSignal.self) {
                stop.signal = signal
            }
            if let timeout = item.optional("timeout")?.duration() { stop.timeout = timeout }
            return ()
        }
    }

    // MARK: Names

    /// The name of a node, an operator or a service.
    static func readName(_ value: YAMLValue) -> String? {
        guard let text = value.nonEmptyText() else { return nil }
        guard isName(text) else {
            value.refuse(
                "\(value.name): '\(value.shown)' is not a name",
                "write 1 to 64 letters, digits, '_', '.', '@' or '-'")
            return nil
        }
        return text
    }

    static func isName(_ text: String) -> Bool {
        guard (1...64).contains(text.utf8.count), text != ".", text != ".." else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "A"..."Z", "a"..."z", "0"..."9", "_", ".", "@", "-": true
            default: false
            }
        }
    }
}
