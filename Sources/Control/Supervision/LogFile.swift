// Cutting a log file that another process goes on writing to.
//
// A service writes its own file, so that it can go on when no supervisor runs, and nobody can make
// it open another one. So the older part is copied to NAME.1 and then taken out of the front of the
// live file, which the kernel does in one step: nothing that is written meanwhile is lost. The cut
// is at a block's border, so a line may begin in one file and end in the next.
//
// Where the file system cannot do that (tmpfs, overlayfs, btrfs), the file is copied and emptied:
// what is written in the microseconds between the last look at its size and the emptying is lost.

internal import CProcess
internal import Foundation
internal import Glibc

enum LogFile {
    /// Cuts the file when it is large enough; true when it was. Throws when it stays as it is.
    @discardableResult
    static func rotate(_ path: String, _ rotation: LogRotation) throws(ProcessError) -> Bool {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return false }
            throw ProcessError("cannot open \(path)", code: errno)
        }
        defer { close(descriptor) }
        guard let (size, block) = measure(descriptor), size >= max(1, rotation.atBytes) else {
            return false
        }
        // Something must stay: the kernel does not take all of a file.
        let whole = (size - 1) / block * block
        let unfinished = path + ".new"
        defer { unlink(unfinished) }
        let copied = try copy(descriptor, to: unfinished, from: 0, upTo: whole)
        guard copied == whole else { throw ProcessError("\(path) is shorter than it was") }
        if whole > 0 {
            // A name first, then the cut: a crash in between keeps a part twice and loses none.
            try keep(unfinished, as: path, rotation)
            if opsd_collapse(descriptor, Int64(whole)) == 0 { return true }
            guard [EOPNOTSUPP, EINVAL, ENOSYS, ENODEV].contains(errno) else {
                throw ProcessError("cannot cut \(path)", code: errno)
            }
            try append(descriptor, to: path + ".1", from: whole)
        } else {
            try append(descriptor, to: unfinished, from: 0)
            try keep(unfinished, as: path, rotation)
        }
        guard ftruncate(descriptor, 0) == 0 else {
            throw ProcessError("cannot empty \(path)", code: errno)
        }
        if rotation.keep == 0 { unlink(path + ".1") }
        return true
    }

    private static func measure(_ descriptor: Int32) -> (size: Int, block: Int)? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        return (Int(status.st_size), max(4_096, Int(status.st_blksize)))
    }

    /// NAME.4 becomes NAME.5, and so on; what is over `keep` goes.
    private static func keep(
        _ unfinished: String, as path: String, _ rotation: LogRotation
    ) throws(ProcessError) {
        guard rotation.keep > 0 else { return }
        unlink("\(path).\(rotation.keep)")
        for number in stride(from: rotation.keep - 1, through: 1, by: -1) {
            rename("\(path).\(number)", "\(path).\(number + 1)")
        }
        guard rename(unfinished, path + ".1") == 0 else {
            throw ProcessError("cannot make \(path).1", code: errno)
        }
    }

    /// Copies to a new owner-only file and flushes it.
    private static func copy(
        _ source: Int32, to path: String, from start: Int, upTo end: Int
    ) throws(ProcessError) -> Int {
        unlink(path)
        let target = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard target >= 0 else { throw ProcessError("cannot make \(path)", code: errno) }
        defer { close(target) }
        let copied = try pump(source, target, path, from: start, upTo: end)
        guard fsync(target) == 0 else { throw ProcessError("cannot flush \(path)", code: errno) }
        return copied
    }

    /// Copies the rest to the end of a file, until nothing more has been written meanwhile.
    private static func append(
        _ source: Int32, to path: String, from start: Int
    ) throws(ProcessError) {
        let target = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard target >= 0 else { throw ProcessError("cannot open \(path)", code: errno) }
        defer { close(target) }
        _ = try pump(source, target, path, from: start, upTo: .max)
        guard fsync(target) == 0 else { throw ProcessError("cannot flush \(path)", code: errno) }
    }

    private static func pump(
        _ source: Int32, _ target: Int32, _ path: String, from start: Int, upTo end: Int
    ) throws(ProcessError) -> Int {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        var position = start
        while position < end {
            let wanted = min(buffer.count, end - position)
            let count = pread(source, &buffer, wanted, off_t(position))
            guard count >= 0 else { throw ProcessError("cannot read for \(path)", code: errno) }
            if count == 0 { break }
            var written = 0
            while written < count {
                let step = buffer.withUnsafeBytes {
                    write(target, $0.baseAddress?.advanced(by: written), count - written)
                }
                guard step > 0 else { throw ProcessError("cannot write \(path)", code: errno) }
                written += step
            }
            position += count
        }
        return position - start
    }
}
