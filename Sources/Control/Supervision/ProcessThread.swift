// Child processes through posix_spawn and pidfds, on one thread of their own.
//
// Why not swift-subprocess: it waits for a child and reaps it within one closure. Three things asked
// of a supervisor do not fit there: killing what is left of a process group while the leader is
// dead but not reaped (only so long is the group's id certain to be ours), watching a process that
// an earlier supervisor started, and one way of watching for both.
//
// Every call here that can take time (reading /proc, signals to many) runs on that thread and never on
// the cooperative pool. Only a start has a thread for itself: the program, its folder or its log may lie on
// a file system that does not answer, and the others must be watched all the same.

internal import CProcess
internal import Foundation
internal import Glibc
internal import Synchronization

/// A process that is watched: which, and the descriptor that becomes readable when it ends.
struct WatchedProcess: Sendable, Equatable {
    let identity: ProcessIdentity
    /// False for one that another supervisor has started: somebody else reaps it.
    let isChild: Bool
    fileprivate let descriptor: Int32

    var pid: pid_t { identity.pid }
}

final class ProcessThread: Sendable {
    typealias Signal = @Sendable (WatchedProcess, Int32) -> Void

    private let loop: ProcessLoop
    private let send: Signal

    /// - Parameter signal: how a signal reaches a process; for tests of one that nothing ends.
    init(signal: @escaping Signal = ProcessGroup.signal) throws(ProcessError) {
        send = signal
        loop = try ProcessLoop()
        let loop = loop
        let thread = Thread { loop.run() }
        thread.name = "processes"
        thread.start()
    }

    /// Whoever waits for an answer holds this object, so nothing is pending by now.
    deinit {
        loop.end()
    }

    /// - Parameter tags: variables that are added to the service's own.
    func start(
        _ service: ServiceSpecification, tags: [String: String] = [:]
    ) async -> Result<WatchedProcess, ProcessError> {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(returning: Self.started(service, tags))
            }
        }
    }

    private static func started(
        _ service: ServiceSpecification, _ tags: [String: String]
    ) -> Result<WatchedProcess, ProcessError> {
        do throws(ProcessError) {
            let pid = try Spawn.start(service, tags: tags)
            do throws(ProcessError) {
                return .success(try watched(pid, isChild: true))
            } catch {
                // Unwatched it would be lost, so it must not be.
                kill(-pid, SIGKILL)
                waitpid(pid, nil, 0)
                throw error
            }
        } catch {
            return .failure(error)
        }
    }

    /// Watches a process that something else started; refused when its id means another one by now.
    func adopt(_ identity: ProcessIdentity) async -> Result<WatchedProcess, ProcessError> {
        await perform {
            do throws(ProcessError) {
                let watched = try Self.watched(identity.pid, isChild: false)
                guard watched.identity == identity else {
                    close(watched.descriptor)
                    throw ProcessError("process \(identity.pid) is another one by now")
                }
                return .success(watched)
            } catch {
                return .failure(error)
            }
        }
    }

    /// Whether that very process is there no more. It needs no descriptor to see that nothing has its
    /// id; where more cannot be read, it may be there.
    func isGone(_ identity: ProcessIdentity) async -> Bool {
        await perform {
            if access("/proc/\(identity.pid)", F_OK) != 0 { return true }
            guard let stat = ProcessTable.stat(identity.pid) else { return false }
            return stat.startTicks != identity.startTicks
        }
    }

    /// Sets how many descriptors the process may have; nil when that worked.
    func limitOpenFiles(of process: WatchedProcess, to count: Int) async -> ProcessError? {
        await perform {
            let limit = UInt64(max(0, count))
            guard opsd_set_open_files(process.pid, limit, limit) != 0 else { return nil }
            return ProcessError(
                "cannot limit process \(process.pid) to \(count) open files", code: errno)
        }
    }

    /// To the process and all of its session. Done in the order of the calls, before a later `reap`.
    func signal(_ process: WatchedProcess, _ number: Int32) {
        loop.add { [send] in send(process, number) }
    }

    /// What the kernel says of the process; nil when it cannot be read, or when it is gone.
    func stat(of process: WatchedProcess) async -> (stat: ProcessStat?, isGone: Bool) {
        await perform {
            var stat = ProcessTable.stat(process.pid)
            stat?.bytesMoved = ProcessStat.bytesMoved("\(process.pid)")
            // This needs no descriptor, and so it can be told when there is none left.
            return (stat, stat == nil && access("/proc/\(process.pid)", F_OK) != 0)
        }
    }

    func residentBytes(ofSessions sessions: Set<pid_t>) async -> [pid_t: Int] {
        await perform { ProcessTable.residentBytes(ofSessions: sessions) }
    }

    func started(
        as tag: String, of dataDirectory: String, recorded: [ProcessIdentity: ServiceName]
    ) async -> [FoundProcess] {
        await perform { ProcessTable.started(as: tag, of: dataDirectory, recorded: recorded) }
    }

    /// Returns when the process has ended. To be called once a process. A child is not reaped yet.
    func exit(of process: WatchedProcess) async -> ProcessExit {
        await withCheckedContinuation { continuation in
            loop.add(
                ProcessLoop.Watch(descriptor: process.descriptor) {
                    // The kernel tells the status to the parent only.
                    continuation.resume(
                        returning: process.isChild ? Self.peekExit(process.pid) : .unknown)
                })
        }
    }

    func reap(_ process: WatchedProcess) async {
        guard process.isChild else { return }
        await perform { _ = opsd_reap(process.pid) }
    }

    /// Whether a process of the session is alive.
    func hasSurvivors(_ process: WatchedProcess) async -> Bool {
        await perform { !ProcessGroup.survivors(of: process).isEmpty }
    }

    private func perform<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value
    ) async -> Value {
        await withCheckedContinuation { continuation in
            loop.add { continuation.resume(returning: work()) }
        }
    }

    private static func watched(
        _ pid: pid_t, isChild: Bool
    ) throws(ProcessError) -> WatchedProcess {
        let descriptor = opsd_pidfd_open(pid)
        guard descriptor >= 0 else {
            throw ProcessError("cannot watch process \(pid)", code: errno)
        }
        guard let stat = ProcessTable.stat(pid) else {
            close(descriptor)
            throw ProcessError("cannot read /proc/\(pid)/stat")
        }
        return WatchedProcess(
            identity: ProcessIdentity(pid: pid, startTicks: stat.startTicks), isChild: isChild,
            descriptor: descriptor)
    }

    private static func peekExit(_ pid: pid_t) -> ProcessExit {
        var code: Int32 = 0
        var status: Int32 = 0
        guard opsd_peek_exit(pid, &code, &status) == 1 else { return .unknown }
        return code == Int32(CLD_EXITED) ? .exited(code: status) : .signalled(status)
    }
}

/// The thread's loop: poll(2) over the pidfds and a wake-up, then the work that was handed in.
private final class ProcessLoop: Sendable {
    struct Watch: Sendable {
        let descriptor: Int32
        let ended: @Sendable () -> Void
    }

    private struct Inbox: Sendable {
        var watches: [Watch] = []
        var jobs: [@Sendable () -> Void] = []
        var isEnding = false
    }

    /// A lock: callers on any thread leave work here, and the loop takes all of it at once. It is
    /// held for an append or a swap.
    private let inbox = Mutex(Inbox())
    private let wakeUp: Int32

    init() throws(ProcessError) {
        wakeUp = opsd_eventfd()
        guard wakeUp >= 0 else { throw ProcessError("cannot make an eventfd", code: errno) }
    }

    deinit {
        close(wakeUp)
    }

    func add(_ watch: Watch) {
        inbox.withLock { $0.watches.append(watch) }
        wake()
    }

    func add(_ job: @escaping @Sendable () -> Void) {
        inbox.withLock { $0.jobs.append(job) }
        wake()
    }

    func end() {
        inbox.withLock { $0.isEnding = true }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        // It fails only when the counter is full, and then the thread is awake anyway.
        _ = write(wakeUp, &one, 8)
    }

    func run() {
        var watches: [Watch] = []
        while true {
            var polled = [pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0)]
            polled += watches.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            // An interrupted poll reports nothing, and the loop comes round again.
            if poll(&polled, nfds_t(polled.count), -1) < 0 { continue }
            if polled[0].revents != 0 {
                var count: UInt64 = 0
                _ = read(wakeUp, &count, 8)
            }
            for index in watches.indices.reversed() where polled[index + 1].revents != 0 {
                let watch = watches.remove(at: index)
                close(watch.descriptor)
                watch.ended()
            }
            let taken = inbox.withLock { inbox in
                defer { inbox = Inbox(isEnding: inbox.isEnding) }
                return inbox
            }
            watches += taken.watches
            for job in taken.jobs { job() }
            if taken.isEnding { return }
        }
    }
}
