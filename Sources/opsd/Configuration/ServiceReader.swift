import Ledger
import StrictYAML

extension ConfigurationReader {
    func readServices(
        _ top: inout YAMLMapping, _ stores: [PlacedStore], _ result: inout Configuration
    ) {
        if let value = top.optional("services") {
            let reader = ServiceReader(findings: findings)
            let services = value.names(reader.read) ?? []
            result.services = services.map(\.settings)
            ServiceChecks(services: services, findings: findings).run()
            let hasCore = result.services.contains { $0.builtin == .core }
            if !hasCore, !findings.hasErrors {
                value.warn("services has no core", "nothing trades; add 'core: {builtin: core}'")
            }
        }
        if let value = top.optional("health") {
            let reader = HealthReader(
                findings: findings, stores: stores, datasets: result.datasets)
            let checks = value.sequence(reader.read) ?? []
            result.health = checks.map(\.settings)
            HealthChecks(
                checks: checks, services: result.services.map(\.name), findings: findings
            ).run()
        }
        readBroker(top.optional("broker"), &result)
    }
}

/// A service and the places that its checks speak of.
struct PlacedService {
    var settings: ServiceSettings
    let place: Place
    var after: [PlacedReference] = []
    var before: [PlacedReference] = []
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
            service.after = PlacedReference.list(item.optional("after"))
            service.before = PlacedReference.list(item.optional("before"))
            service.settings.after = service.after.map(\.name)
            service.settings.before = service.before.map(\.name)
            if let value = item.optional("environment") {
                service.settings.environment = readEnvironment(value)
            }
            service.settings.workingDirectory = readWorkingDirectory(
                item.optional("working_directory"))
            if let timeout = item.optional("ready_timeout")?.duration() {
                service.settings.readyTimeout = timeout
            }
            if let watchdog = item.optional("watchdog")?.duration(from: .milliseconds(100)) {
                service.settings.watchdog = watchdog
            }
            readLimits(item.optional("limits"), &service.settings.limits)
            readLog(item.optional("log"), &service.settings.log)
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
        let present = item.present(ofAlternatives: ["builtin", "command"])
        let builtin = item.optional("builtin")?.choice(BuiltinService.self)
        let commandValue = item.optional("command")
        let command = commandValue.flatMap(CommandWords.read)
        switch present.count {
        case 0:
            item.refuse(
                "service \(name) has no program",
                "add 'command: [program, argument]' or 'builtin: core'")
        case 2:
            commandValue?.refuse(
                "service \(name) has both builtin and command", "remove one of the two")
        default: break
        }
        return builtin.map { .builtin($0) } ?? command.map { .command($0) }
    }

    private func readWorkingDirectory(_ value: YAMLValue?) -> String? {
        guard let value, let path = AbsolutePath.read(value) else { return nil }
        if !AbsolutePath.isDirectory(path) {
            value.refuse("\(value.shown) is not a directory", "create it, or correct the path")
        }
        return path
    }

    private func readLimits(_ value: YAMLValue?, _ limits: inout ServiceLimits) {
        _ = value?.mapping { item -> Void? in
            // With less than this not even a shell starts.
            limits.memory = item.optional("memory")?.byteSize(from: 1_000_000)
            limits.openFiles = item.optional("open_files")?.integer(in: 16...1_000_000)
            return ()
        }
    }

    private func readLog(_ value: YAMLValue?, _ log: inout ServiceLogSettings) {
        _ = value?.mapping { item -> Void? in
            if let size = item.optional("rotate_at")?.byteSize(from: 64_000) {
                log.rotateAt = size
            }
            if let keep = item.optional("keep")?.integer(in: 0...1_000) { log.keep = keep }
            return ()
        }
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
            let present = item.present(ofAlternatives: ["http", "tcp", "command"])
            let http = item.optional("http")?.url().map { ServiceCheck.Probe.http($0) }
            let tcp = item.optional("tcp")?.hostPort().map { ServiceCheck.Probe.tcp($0) }
            let command = item.optional("command").flatMap(CommandWords.read)
                .map { ServiceCheck.Probe.command($0) }
            if present.count != 1 {
                item.refuse(
                    "\(value.name) has \(present.count) probes",
                    "write exactly one of http, tcp, command")
            }
            let timing = CheckTiming.read(&item, timeoutDefault: .seconds(1))
            guard let probe = http ?? tcp ?? command else { return nil }
            var check = ServiceCheck(probe: probe, degradedFrom: timing.degradedFrom)
            if let period = timing.period { check.period = period }
            if let timeout = timing.timeout { check.timeout = timeout }
            if let threshold = timing.threshold { check.threshold = threshold }
            if let threshold = timing.successThreshold { check.successThreshold = threshold }
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
