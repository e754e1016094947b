import ArgumentParser
import Foundation

/// The front door. Every command ends with one of the exit codes of `ExitStatus`.
@main
struct Opsd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "opsd",
        abstract: "An ops and data-integrity control plane for a trading desk.",
        discussion: """
            Every command takes -c FILE (otherwise ./opsd.yaml, then ./data/opsd.yaml) and --json.
            Exit codes: 0 done; 1 something was found; 2 the input is wrong; 3 could not tell; \
            4 refused by a guard.
            """,
        version: BuildInformation.version,
        subcommands: [
            RunCommand.self, CheckCommand.self, StatusCommand.self, CoreCommand.self,
            PaperBrokerCommand.self, AccountCommand.self, OrderCommand.self, ServiceCommand.self,
            JobCommand.self, JournalCommand.self, VerifyCommand.self, RepairCommand.self,
            ReviewCommand.self, RebuildCommand.self,
            MigrateCommand.self, TokenCommand.self, SecretCommand.self,
        ])

    static func main() async {
        // What a process of opsd makes belongs to its owner alone, sockets included.
        umask(0o077)
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            failure.exit()
        } catch {
            let code = exitCode(for: error)
            let message = fullMessage(for: error)
            if code.isSuccess {
                print(message)
            } else if !message.isEmpty {
                FileHandle.standardError.write(Data((message + "\n").utf8))
            }
            let status: ExitStatus =
                code.isSuccess ? .done : code == .validationFailure ? .badInput : .unknown
            Foundation.exit(status.rawValue)
        }
    }
}

enum BuildInformation {
    static let version = "0.1.0"
}
