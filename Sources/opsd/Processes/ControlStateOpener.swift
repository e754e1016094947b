import Control
import Dispatch
import Logging
import Synchronization

/// control.sqlite, for a daemon that lives without it too: on a full disk, or without permission,
/// services run all the same, and the file is tried again until it can be opened.
final class ControlStateOpener: Sendable {
    private static let period = Duration.seconds(5)

    private struct Status: Sendable {
        var state: ControlState?
        var problem: String?
    }

    private let path: String
    private let logger: Logger
    /// A lock: the status page looks while the file is being opened. It is held for a copy.
    private let status = Mutex(Status())

    init(path: String, logger: Logger) {
        self.path = path
        self.logger = logger
    }

    /// Nil until it has been opened.
    var state: ControlState? { status.withLock { $0.state } }

    /// Why nothing is written down; nil when it is.
    var problem: String? {
        let status = status.withLock { $0 }
        return status.problem ?? status.state?.problem
    }

    /// On a thread of its own, because the disk may take its time. Nil when it cannot be opened.
    func open() async -> ControlState? {
        await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { [self] in
                continuation.resume(returning: openNow())
            }
        }
    }

    /// Until it is open, and then until it is cancelled.
    func keepTrying(for supervisor: Supervisor, _ scheduler: JobScheduler) async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.period)
            guard status.withLock({ $0.state == nil }), !Task.isCancelled,
                let state = await open()
            else { continue }
            await supervisor.write(to: state)
            await scheduler.write(to: state)
            logger.notice(
                "what happens to services is written down from now on",
                metadata: ["file": "\(path)"])
        }
    }

    func collect(into sink: inout MetricsSink) {
        sink.gauge(
            "opsd_control_state_up", [], problem == nil ? 1 : 0,
            help: "1 while what happens to services is written to control.sqlite, else 0.")
    }

    private func openNow() -> ControlState? {
        do {
            let state = try ControlState(
                path: path, onProblem: { [logger] in logger.error("\($0)") })
            if let aside = state.movedAside {
                logger.error(
                    "control.sqlite was damaged and is begun anew; the damaged file is kept",
                    metadata: ["file": "\(aside)"])
            }
            status.withLock { $0 = Status(state: state) }
            return state
        } catch {
            let problem = "control.sqlite cannot be opened: \(error)"
            let isNew = status.withLock { status in
                defer { status.problem = problem }
                return status.problem != problem
            }
            if isNew {
                logger.error(
                    "services run, but what happens to them is not written down: \(problem)",
                    metadata: ["file": "\(path)"])
            }
            return nil
        }
    }
}
