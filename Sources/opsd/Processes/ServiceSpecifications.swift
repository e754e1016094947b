import Control
import Foundation
import Ledger

extension ServiceSpecification {
    /// What the supervisor is to run, as the configuration says it.
    static func all(of configuration: Configuration) -> [ServiceSpecification] {
        let layout = DataLayout(configuration)
        return configuration.services.map { service in
            let program: [String] =
                switch service.program {
                case .builtin(let builtin):
                    [
                        executable, builtin.rawValue, "-c", configuration.path, "--supervisor",
                        layout.socket(of: "supervisor"),
                    ] + (builtin == .verify ? ["--follow"] : [])
                case .command(let command): command
                }
            return ServiceSpecification(
                name: service.name, executable: program.first ?? "",
                arguments: Array(program.dropFirst()),
                environment: environment(of: service, in: configuration),
                workingDirectory: service.workingDirectory ?? configuration.folder,
                after: service.after, before: service.before,
                restart: service.restart.policyOfControl, stop: service.stop.policyOfControl,
                logFile: layout.log(of: service.name), readinessTimeout: service.readyTimeout,
                watchdog: service.watchdog,
                limits: Control.ServiceLimits(
                    memoryBytes: service.limits.memory, openFiles: service.limits.openFiles),
                rotation: LogRotation(atBytes: service.log.rotateAt, keep: service.log.keep))
        }
    }

    /// A built-in service reads the checks when it starts: that there are others makes it another process.
    private static func environment(
        of service: ServiceSettings, in configuration: Configuration
    ) -> [String: String] {
        var environment = service.environment.mapValues { $0.reveal() }
        if service.builtin == .verify {
            let checks = configuration.verify.filter { $0.dataset != nil }.map { check in
                "\(check.name) \(check.every ?? .zero) \(check.subject)"
            }
            let digest = SipHashKey(low: 0, high: 0).hash(
                Array(checks.joined(separator: "\n").utf8))
            environment["OPSD_CHECKS"] = String(digest, radix: 16)
        }
        return environment
    }

    /// This program itself, however it was started.
    static let executable: String =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        ?? CommandLine.arguments[0]

    /// One spelling of a folder, however the configuration reaches it.
    static func realPath(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }
}

extension RestartSettings {
    var policyOfControl: Control.RestartPolicy {
        let mode: Control.RestartPolicy.Mode =
            switch policy {
            case .always: .always
            case .onFailure: .onFailure
            case .never: .never
            }
        return Control.RestartPolicy(
            mode: mode, backoff: backoff, factor: Double(factor.description) ?? 2, limit: limit,
            resetAfter: resetAfter)
    }
}

extension StopSettings {
    var policyOfControl: StopPolicy {
        StopPolicy(
            signal: Control.StopSignal(rawValue: signal.rawValue) ?? .TERM, timeout: timeout)
    }
}
