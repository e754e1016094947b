#if canImport(Glibc)
    internal import Glibc
#endif

/// A kernel lock on a file of its own: it goes with the process that holds it, however that ends,
/// and no child inherits it.
public final class FileLock: Sendable {
    private let descriptor: Int32

    /// Nil when another process holds the lock.
    public init?(path: String) throws(JournalError) {
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else {
            throw .inputOutput(path: path, problem: String(cString: strerror(errno)))
        }
        descriptor = opened
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            if code == EWOULDBLOCK { return nil }
            throw .inputOutput(path: path, problem: String(cString: strerror(code)))
        }
    }

    deinit {
        close(descriptor)
    }
}
