// Cutting a log file that another process goes on writing to.
//
// A service writes its own file, so that it can go on when no supervisor runs, and nobody can make
// it open another one. So the older part is copied to NAME.1 and then taken out of the front of the
// live file, which the kernel does in one step: nothing that is written meanwhile is lost. The cut
// is at a block's border, so a line may begin in one file and end in the next.
//
// Where the file system cannot do that (tmpfs, overlayfs, btrfs), the file is copied and emptied:
// what is written in the microseconds between the last look at its size and the emptying is lost.
//
// Where the disk has no room for a copy, what is oldest goes: the older files, and then the front of
// the live one. A log must not be what keeps a full disk full.

internal import CProcess
internal import Foundation
internal import Glibc

/// What became of a log file that was looked at.
enum LogCut: Sendable, Equatable {
    /// It is not large enough yet, or not there.
    case notNeeded
    /// - Parameter lostBytes: of log that was to be kept and had no room.
    case cut(lostBytes: Int)
}

enum LogFile {
    /// So much stays free when the older part is copied: others need the last of a disk more.
    static let spareBytes = 1 << 20

    /// How many bytes there is room for beside a file. It may take long: never on the pool.
    typealias Room = (_ path: String) -> Int

    static func freeBytes(_ path: String) -> Int {
        FileSystemSpace(path: path).map { Int(clamping: $0.freeBytes) } ?? .max
    }

    /// Cuts the file when it is large enough. Throws when it stays as it is.
    @discardableResult
    static func rotate(
        _ path: String, _ rotation: LogRotation, room: Room = Self.freeBytes
    ) throws(ProcessError) -> LogCut {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return .notNeeded }
            throw ProcessError("cannot open \(path)", code: errno)
        }
        defer { close(descriptor) }
        guard let (size, block) = measure(descriptor), size >= max(1, rotation.atBytes) else {
            return .notNeeded
        }
        // Something must stay: the kernel does not take all of a file.
        let whole = (size - 1) / block * block
        guard rotation.keep > 0 else {
            if try !collapse(descriptor, path, whole) { try empty(descriptor, path) }
            return .cut(lostBytes: 0)
        }
        let removed = makeRoom(for: size, beside: path, rotation, room)
        let fits = room(path) - spareBytes
        if fits < size {
            // The newer half stays where it is.
            let older = whole / 2 / block * block
            if try collapse(descriptor, path, older) { return .cut(lostBytes: removed + older) }
            let start = min(whole, max(0, size - max(0, fits)))
            try copyAndCut(descriptor, path, rotation, from: start, upTo: whole)
            return .cut(lostBytes: removed + start)
        }
        try copyAndCut(descriptor, path, rotation, from: 0, upTo: whole)
        return .cut(lostBytes: removed)
    }

    /// Copies the older part to NAME.1, and takes it and all before it out of the live file.
    private static func copyAndCut(
        _ descriptor: Int32, _ path: String, _ rotation: LogRotation, from start: Int,
        upTo whole: Int
    ) throws(ProcessError) {
        let unfinished = path + ".new"
        defer { unlink(unfinished) }
        let copied = try copy(descriptor, to: unfinished, from: start, upTo: whole)
        guard copied == whole - start else {
            throw ProcessError("\(path) is shorter than it was")
        }
        if whole > 0 {
            // A name first, then the cut: a crash in between keeps a part twice and loses none.
            try keep(unfinished, as: path, rotation)
            if try collapse(descriptor, path, whole) { return }
            try append(descriptor, to: path + ".1", from: whole)
        } else {
            try append(descriptor, to: unfinished, from: 0)
            try keep(unfinished, as: path, rotation)
        }
        try empty(descriptor, path)
    }

    /// Takes bytes out of a file's front; false where the file system cannot, or there are none.
    private static func collapse(
        _ descriptor: Int32, _ path: String, _ count: Int
    ) throws(ProcessError) -> Bool {
        if count == 0 { return false }
        if opsd_collapse(descriptor, Int64(count)) == 0 { return true }
        guard [EOPNOTSUPP, EINVAL, ENOSYS, ENODEV].contains(errno) else {
            throw ProcessError("cannot cut \(path)", code: errno)
        }
        return false
    }

    private static func empty(_ descriptor: Int32, _ path: String) throws(ProcessError) {
        guard ftruncate(descriptor, 0) == 0 else {
            throw ProcessError("cannot empty \(path)", code: errno)
        }
    }

    /// Removes older files, the oldest first, until a copy fits or none is left. Says how many bytes
    /// of them should have stayed: the one that this rotation drops anyway is none of them.
    private static func makeRoom(
        for size: Int, beside path: String, _ rotation: LogRotation, _ room: Room
    ) -> Int {
        var lost = 0
        var number = 1
        while access("\(path).\(number)", F_OK) == 0 { number += 1 }
        while number > 1, room(path) - spareBytes < size {
            number -= 1
            let name = "\(path).\(number)"
            var status = stat()
            guard lstat(name, &status) == 0, unlink(name) == 0 else { continue }
            if number < rotation.keep { lost += Int(status.st_size) }
        }
        return lost
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
