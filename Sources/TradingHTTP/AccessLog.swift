import Foundation
import Ledger
import Logging
import Synchronization

/// Every access, one JSON object a line, in a file of its own.
///
/// Lines are gathered and written by one task, so that a request never waits for a disk. The lock
/// guards the lines that wait; it is held for an append.
public final class AccessLog: Sendable {
    struct Access {
        let time: Timestamp
        let principal: Principal?
        let method: String
        let path: String
        let status: Int
        let durationNanoseconds: Int64
    }

    private struct Waiting {
        var bytes: [UInt8] = []
        var dropped = 0
    }

    private static let waitingBytesMax = 16_000_000

    private let path: String
    private let waiting = Mutex(Waiting())
    private let wake: AsyncStream<Void>
    private let wakeUp: AsyncStream<Void>.Continuation
    private let logger = Logger(label: "access-log")

    public init(path: String) {
        self.path = path
        (wake, wakeUp) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func add(_ access: Access) {
        var line = JSONWriter(reserving: 256)
        line.object { json in
            json.member("time", access.time.description)
            json.member("account_id", access.principal?.accountID)
            json.member("role", access.principal?.role.rawValue)
            json.member("token_id", access.principal?.tokenID)
            json.member("method", access.method)
            json.member("path", access.path)
            json.member("status", access.status)
            json.member("duration_us", Int(access.durationNanoseconds / 1_000))
        }
        let isFirst = waiting.withLock { waiting in
            guard waiting.bytes.count < Self.waitingBytesMax else {
                waiting.dropped += 1
                return false
            }
            let isFirst = waiting.bytes.isEmpty
            waiting.bytes += line.bytes
            waiting.bytes.append(UInt8(ascii: "\n"))
            return isFirst
        }
        if isFirst { wakeUp.yield() }
    }

    /// Writes until cancelled, and what is left at the end.
    public func run() async {
        for await _ in wake {
            try? await Task.sleep(for: .milliseconds(100))
            await flush()
        }
        await flush()
    }

    private func flush() async {
        let (bytes, dropped) = waiting.withLock { waiting in
            defer { waiting = Waiting() }
            return (waiting.bytes, waiting.dropped)
        }
        if dropped > 0 {
            logger.error("accesses were not logged", metadata: ["count": "\(dropped)"])
        }
        if bytes.isEmpty { return }
        let path = path
        let problem = await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async {
                continuation.resume(returning: Self.append(bytes, to: path))
            }
        }
        if let problem {
            logger.error("the access log was not written", metadata: ["error": "\(problem)"])
        }
    }

    private static func append(_ bytes: [UInt8], to path: String) -> String? {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        defer { close(descriptor) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return String(cString: strerror(errno)) }
            offset += count
        }
        return nil
    }
}
