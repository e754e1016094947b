internal import Glibc
internal import Ledger

// Probes that look at files. The judgement is apart from the look, so that it is tested on numbers.

/// An error of a system call that is an answer about the thing, or says that opsd could not look.
enum ProbeError {
    static func outcome(_ what: String, code: Int32) -> ProbeOutcome {
        let text = "\(what): \(String(cString: strerror(code)))"
        switch code {
        case EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EAGAIN: return .unknown(text)
        default: return .failure(text)
        }
    }
}

enum DiskProbe {
    static func run(path: String, freeBelow margin: DiskMargin) -> ProbeOutcome {
        guard let space = FileSystemSpace(path: path) else {
            return ProbeError.outcome(path, code: errno)
        }
        return judge(path, space, margin)
    }

    static func judge(
        _ path: String, _ space: FileSystemSpace, _ margin: DiskMargin
    ) -> ProbeOutcome {
        let share = space.freeShare
        let free =
            "\(path) has \(ByteText.size(Double(space.freeBytes))) free of "
            + "\(ByteText.size(Double(space.sizeBytes))) (\(ByteText.percent(share)))"
        let isEnough =
            switch margin {
            case .share(let least): share >= least
            case .bytes(let least): space.freeBytes >= UInt64(max(0, least))
            }
        return isEnough ? .success(free) : .failure("\(free), less than \(margin)")
    }
}

/// The room of a file system, as far as it is for everybody: what is kept for root is not free.
public struct FileSystemSpace: Sendable, Equatable {
    public let sizeBytes: UInt64
    public let freeBytes: UInt64

    public init(sizeBytes: UInt64, freeBytes: UInt64) {
        self.sizeBytes = sizeBytes
        self.freeBytes = freeBytes
    }

    /// Nil and errno when the path cannot be asked about. It may take long: never on the pool.
    init?(path: String) {
        var found = statvfs()
        guard statvfs(path, &found) == 0 else { return nil }
        let block = UInt64(found.f_frsize)
        let reserved = UInt64(found.f_bfree) - min(UInt64(found.f_bfree), UInt64(found.f_bavail))
        let blocks = UInt64(found.f_blocks)
        sizeBytes = (blocks - min(blocks, reserved)) * block
        freeBytes = UInt64(found.f_bavail) * block
    }

    /// 0 to 1; a file system without a size, such as one that grows as it likes, is all free.
    public var freeShare: Double {
        sizeBytes == 0 ? 1 : Double(freeBytes) / Double(sizeBytes)
    }
}

enum FileAgeProbe {
    static func run(path: String, staleAfter limit: Duration, now: Timestamp) -> ProbeOutcome {
        var found = stat()
        guard stat(path, &found) == 0 else { return ProbeError.outcome(path, code: errno) }
        let changed = Timestamp(
            microseconds: Int64(found.st_mtim.tv_sec) * 1_000_000
                + Int64(found.st_mtim.tv_nsec) / 1_000)
        return judge(path, changed: changed, staleAfter: limit, now: now)
    }

    /// A time in the future is a clock that was set back: the file counts as new.
    static func judge(
        _ path: String, changed: Timestamp, staleAfter limit: Duration, now: Timestamp
    ) -> ProbeOutcome {
        let age = Duration.microseconds(max(0, now.microseconds - changed.microseconds))
        let text = "\(path) was written \(DurationText.short(age)) ago"
        return age > limit
            ? .failure("\(text), more than \(DurationText.short(limit))") : .success(text)
    }
}

enum PIDFileProbe {
    /// More than any process id with a line break.
    private static let bytesMax = 64

    static func run(path: String) -> ProbeOutcome {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return ProbeError.outcome(path, code: errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        let count = read(descriptor, &bytes, bytesMax)
        guard count >= 0 else { return ProbeError.outcome(path, code: errno) }
        guard let pid = pid(in: String(decoding: bytes[..<count], as: UTF8.self)) else {
            return .failure("\(path) holds no process id")
        }
        return judge(path, pid, state: ProcessStat.read(String(pid))?.state)
    }

    /// The first word of the file, as daemons write it.
    static func pid(in text: String) -> Int32? {
        let word = text.split(whereSeparator: \.isWhitespace).first
        return word.flatMap { Int32($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    /// - Parameter state: of proc(5); nil when there is no such process.
    static func judge(_ path: String, _ pid: Int32, state: Character?) -> ProbeOutcome {
        switch state {
        case nil: .failure("process \(pid) of \(path) does not run")
        case "Z", "X": .failure("process \(pid) of \(path) has ended")
        case "T", "t": .failure("process \(pid) of \(path) is stopped by a signal")
        default: .success("process \(pid) runs")
        }
    }
}
