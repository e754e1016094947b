import Foundation
import Ledger
import Logging
import Synchronization
import Trading

/// Every access, one JSON object a line, in a file of its own.
///
/// Lines are gathered and written by one task, so that a request never waits for a disk. Callers
/// without a token cannot fill the disk: of theirs a few lines a second are written, and the rest is
/// counted. The lock guards the lines that wait; it is held for an append.
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
        var strangers = 0
    }

    private struct Content {
        var waiting = Waiting()
        var strangersLeft: TokenBucket
    }

    private static let waitingBytesMax = 16_000_000
    private static let pathBytesMax = 200
    /// Lines a second of callers without a token.
    static let strangersPerSecond = 20

    private let path: String
    private let content: Mutex<Content>
    private let wake: AsyncStream<Void>
    private let wakeUp: AsyncStream<Void>.Continuation
    private let logger = Logger(label: "access-log")

    public init(path: String) {
        self.path = path
        content = Mutex(
            Content(strangersLeft: TokenBucket(count: Self.strangersPerSecond, at: .now())))
        (wake, wakeUp) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func add(_ access: Access) {
        if access.principal == nil, !admitStranger(at: access.time) { return }
        var line = JSONWriter(reserving: 256)
        line.object { json in
            json.member("time", access.time.description)
            json.member("account_id", access.principal?.accountID)
            json.member("role", access.principal?.role.rawValue)
            json.member("token_id", access.principal?.tokenID)
            json.member("method", access.method)
            json.member("path", Self.shortened(access.path))
            json.member("status", access.status)
            json.member("duration_us", Int(access.durationNanoseconds / 1_000))
        }
        let isFirst = content.withLock { content in
            guard content.waiting.bytes.count < Self.waitingBytesMax else {
                content.waiting.dropped += 1
                return false
            }
            let isFirst = content.waiting.bytes.isEmpty
            content.waiting.bytes += line.bytes
            content.waiting.bytes.append(UInt8(ascii: "\n"))
            return isFirst
        }
        if isFirst { wakeUp.yield() }
    }

    private func admitStranger(at now: Timestamp) -> Bool {
        content.withLock { content in
            if content.strangersLeft.take(at: now) == nil { return true }
            content.waiting.strangers += 1
            return false
        }
    }

    /// The first bytes, with a sign that there were more.
    private static func shortened(_ path: String) -> String {
        guard path.utf8.count > pathBytesMax else { return path }
        return String(decoding: path.utf8.prefix(pathBytesMax), as: UTF8.self) + "…"
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
        let waiting = content.withLock { content in
            defer { content.waiting = Waiting() }
            return content.waiting
        }
        if waiting.dropped > 0 {
            logger.error("accesses were not logged", metadata: ["count": "\(waiting.dropped)"])
        }
        let bytes = waiting.bytes + Self.line(ofStrangers: waiting.strangers)
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

    /// How many accesses without a token have no line of their own.
    private static func line(ofStrangers count: Int) -> [UInt8] {
        if count == 0 { return [] }
        var line = JSONWriter()
        line.object { json in
            json.member("time", Timestamp.now().description)
            json.member("not_logged_without_token", count)
        }
        return line.bytes + [UInt8(ascii: "\n")]
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
