import Foundation

/// The exit codes of every command: a contract with cron and with people.
enum ExitStatus: Int32 {
    case done = 0
    /// Done, and something was found.
    case found = 1
    case badInput = 2
    /// Could not tell.
    case unknown = 3
    /// Refused by a guard.
    case refused = 4
    /// The same command carries on where it stopped.
    case interrupted = 130
}

/// How a command ends when it does not end well. The message goes to standard error.
struct CommandFailure: Error {
    let status: ExitStatus
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// One failure for several, each named; nil for none. Its status is that of the worst: what could
    /// not be told before what was refused, and that before what was wrong in the input.
    static func worst(
        of failures: [(account: String, failure: CommandFailure)]
    ) -> CommandFailure? {
        let order: [ExitStatus] = [.unknown, .refused, .badInput, .found]
        guard
            let status = order.first(where: { status in
                failures.contains { $0.failure.status == status }
            })
        else { return nil }
        let lines = failures.map { "\($0.account): \($0.failure.message)" }
        return CommandFailure(status, lines.joined(separator: "\n"))
    }

    func exit() -> Never {
        // After what was logged before; where nobody takes that, nobody would take this either.
        let isWritable = LogQueue.standardError.flush(within: .seconds(2))
        if !message.isEmpty, isWritable {
            FileHandle.standardError.write(Data((message + "\n").utf8))
        }
        Foundation.exit(status.rawValue)
    }
}
