internal import Dispatch
internal import Glibc
internal import Ledger

/// A job's log: a head before each run, so that its output is told from that of the one before. The
/// disk may take its time, so all of it is done on a thread of its own.
enum JobLog {
    static let linesMax = 20
    static let bytesMax = 4_096

    /// False when the head could not be written: then nobody knows where the run's output begins.
    static func begin(_ run: JobRun, in path: String) async -> Bool {
        let head = Array("\(head(run)) \(run.started) \(run.trigger.rawValue) ===\n".utf8)
        return await onThread {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            return write(descriptor, head, head.count) == head.count
        }
    }

    /// The last lines that the run has printed, as far as they are still there.
    static func end(of run: JobRun, in path: String) async -> String {
        let head = Array(head(run).utf8)
        return await onThread {
            lastLines(of: tail(of: path, bytes: 2 * bytesMax), after: head)
        }
    }

    private static func head(_ run: JobRun) -> String { "=== \(run.job) \(run.instance)" }

    static func lastLines(of tail: [UInt8], after head: [UInt8]) -> String {
        var bytes = tail[...]
        if let start = bytes.lastRange(of: head) {
            let line = bytes[start.upperBound...].firstIndex(of: UInt8(ascii: "\n"))
            bytes = line.map { bytes[($0 + 1)...] } ?? []
        }
        bytes = bytes.suffix(bytesMax)
        let text = String(decoding: bytes, as: UTF8.self)
        return text.split(whereSeparator: \.isNewline).suffix(linesMax).joined(separator: "\n")
    }

    private static func tail(of path: String, bytes count: Int) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let size = lseek(descriptor, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: min(count, Int(max(0, size))))
        let read = pread(descriptor, &bytes, bytes.count, size - off_t(bytes.count))
        return Array(bytes.prefix(max(0, read)))
    }

    private static let queue = DispatchQueue(label: "job-logs", attributes: .concurrent)

    private static func onThread<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value
    ) async -> Value {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: work()) }
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func lastRange(of pattern: [UInt8]) -> Range<Int>? {
        guard count >= pattern.count else { return nil }
        let last = stride(from: endIndex - pattern.count, through: startIndex, by: -1).first {
            self[$0..<($0 + pattern.count)].elementsEqual(pattern)
        }
        return last.map { $0..<($0 + pattern.count) }
    }
}
