import Dispatch
import Foundation
import Synchronization

/// Takes lines of the log and writes them elsewhere, so that nobody who logs ever waits for whoever
/// reads. A terminal that is paused, or a pipe whose reader sleeps, would stop the supervisor
/// otherwise.
///
/// What finds no room any more is dropped and counted; the log says how much it was where it goes on.
/// At a normal exit what is left is written, as long as that takes no more than two seconds.
final class LogQueue: Sendable {
    /// Of all lines that wait.
    private static let bytesMax = 4 << 20
    private static let exitPatience = Duration.seconds(2)

    /// Of this process. Its exit waits for it.
    static let standardError: LogQueue = {
        atexit { _ = LogQueue.standardError.flush(within: LogQueue.exitPatience) }
        return LogQueue(descriptor: 2)
    }()

    private struct State {
        var lines: [String] = []
        var byteCount = 0
        var dropped = 0
        var isWriting = false
    }

    private let descriptor: Int32
    private let bytesMax: Int
    private let writer = DispatchQueue(label: "log", qos: .utility)
    /// A lock: whoever logs leaves a line here, and the writer takes all of them at once. It is held
    /// for an insertion or a swap.
    private let state = Mutex(State())
    /// A lock: set once, by whoever sets up the metrics. It is held for a copy.
    private let onDrop = Mutex<(@Sendable (Int) -> Void)?>(nil)

    init(descriptor: Int32, bytesMax: Int = LogQueue.bytesMax) {
        self.descriptor = descriptor
        self.bytesMax = bytesMax
    }

    /// - Parameter count: called with the number of lines, for each that is dropped.
    func countDrops(_ count: @escaping @Sendable (Int) -> Void) {
        onDrop.withLock { $0 = count }
    }

    /// Never waits.
    func add(_ line: String) {
        let (isTaken, isFirst) = state.withLock { state in
            guard state.byteCount + line.utf8.count <= bytesMax else {
                state.dropped += 1
                return (false, false)
            }
            state.lines.append(line)
            state.byteCount += line.utf8.count
            defer { state.isWriting = true }
            return (true, !state.isWriting)
        }
        if !isTaken { noteDrop(1) }
        if isFirst { writer.async { [self] in writeAll() } }
    }

    /// Waits until everything is written, and says whether it is. For the end of the process only: it
    /// holds its thread.
    func flush(within limit: Duration) -> Bool {
        let deadline = ContinuousClock.now + limit
        while state.withLock({ $0.isWriting }) {
            if ContinuousClock.now > deadline { return false }
            poll(nil, 0, 1)
        }
        return true
    }

    private func noteDrop(_ count: Int) {
        let note = onDrop.withLock { $0 }
        note?(count)
    }

    // MARK: On the writer's thread

    private func writeAll() {
        while let (lines, dropped) = take() {
            var lost = 0
            for line in lines where !write(line) { lost += 1 }
            if dropped > 0 {
                _ = write(
                    "… \(dropped) lines of the log were dropped here: nobody took them in time\n")
            }
            if lost > 0 { noteDrop(lost) }
        }
    }

    private func take() -> (lines: [String], dropped: Int)? {
        state.withLock { state in
            if state.lines.isEmpty {
                state.isWriting = false
                return nil
            }
            defer { state = State(isWriting: true) }
            return (state.lines, state.dropped)
        }
    }

    /// False when nobody will ever take it: a reader that is gone, a full disk.
    private func write(_ line: String) -> Bool {
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.write(descriptor, $0.baseAddress, $0.count)
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EAGAIN {
                var polled = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)]
                poll(&polled, 1, -1)
            } else if count == 0 || errno != EINTR {
                return false
            }
        }
        return true
    }
}

/// Where the handlers of the logging library print to.
struct LogQueueStream: TextOutputStream, Sendable {
    let queue: LogQueue

    mutating func write(_ string: String) { queue.add(string) }
}
