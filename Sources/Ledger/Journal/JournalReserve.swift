internal import CFiles

#if canImport(Glibc)
    internal import Glibc
#endif

/// Room in the write-ahead log of a journal's file that is the journal's own before it is needed, so
/// that operators' acts can be written while the disk is full.
///
/// The log grows to the size at which it is folded into the file; while the disk is full that fails
/// and the log grows on. What lies beyond its end is allocated, but not part of its length, so that
/// SQLite does not see it. SQLite keeps no POSIX locks on the log: opening it here breaks none.
struct JournalReserve {
    /// Some thousand operators' acts, each of which fills two pages of 4 KiB at most.
    static let bytes = 16_000_000
    /// A page of the log and its header.
    private static let pageBytes = 4_096 + 24

    private let path: String
    private let usualBytes: Int
    private var allocatedBytes = 0

    init(path: String, checkpointPages: Int) {
        self.path = path + "-wal"
        usualBytes = checkpointPages * Self.pageBytes
    }

    /// Has the reserve stand beyond the log's present end. False when there is no room for that.
    mutating func extend() throws(JournalError) -> Bool {
        var status = stat()
        // Before the first entry there is no log.
        guard stat(path, &status) == 0 else { return true }
        let wanted = max(Int(status.st_size), usualBytes) + Self.bytes
        if wanted <= allocatedBytes { return true }
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .inputOutput(path: path, problem: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        let code = opsd_allocate(descriptor, off_t(wanted))
        switch code {
        case 0:
            allocatedBytes = wanted
            return true
        case ENOSPC, EDQUOT: return false
        // A file system without allocation has no reserve: its own word counts when it is full.
        case EOPNOTSUPP, ENOSYS: return true
        default: throw .inputOutput(path: path, problem: String(cString: strerror(code)))
        }
    }
}
