internal import Foundation
internal import Ledger

/// The files below one folder: written whole, so that a reader sees the old bytes or the new ones, and
/// durable before a call returns that says so. Owner-only.
struct Folder: Sendable {
    let root: String

    /// When a file was changed last, as far as the file system tells.
    struct Identity: Sendable, Equatable {
        let inode: UInt64
        let size: Int64
        let seconds: Int
        let nanoseconds: Int
    }

    func path(_ file: String) -> String { root + "/" + file }

    func makeRoot() throws(StoreError) {
        try makeFolder(root)
    }

    func expectRoot() throws(StoreError) {
        guard access(root, F_OK) == 0 else {
            throw .unavailable(store: root, problem: "there is no such folder yet")
        }
    }

    /// Nil when there is no such file.
    func identity(_ file: String) throws(StoreError) -> Identity? {
        var status = stat()
        guard lstat(path(file), &status) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure(file, errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .damaged(store: root, problem: "\(file) is no plain file")
        }
        return Identity(
            inode: UInt64(status.st_ino), size: Int64(status.st_size),
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
    }

    /// Nil when there is no such file.
    func read(_ file: String) throws(StoreError) -> [UInt8]? {
        let descriptor = open(path(file), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure(file, errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(file, errno) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(
                    descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(file, errno) }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes.prefix(filled))
    }

    /// The bytes are durable when this returns; the name is once its folder is flushed.
    /// - Parameter isWanted: asked at the last moment.
    /// - Returns: whether the file was put in its place.
    @discardableResult
    func replace(
        _ file: String, with bytes: [UInt8],
        if isWanted: () throws(StoreError) -> Bool = { () throws(StoreError) in true }
    ) throws(StoreError) -> Bool {
        let (target, temporary) = (path(file), path(Self.temporary(file)))
        var descriptor = open(
            temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if descriptor < 0, errno == ENOENT {
            try makeFolder((target as NSString).deletingLastPathComponent)
            descriptor = open(
                temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        }
        guard descriptor >= 0 else { throw failure(file, errno) }
        do throws(StoreError) {
            defer { close(descriptor) }
            try write(bytes, to: descriptor, file)
            guard fsync(descriptor) == 0 else { throw failure(file, errno) }
            guard try isWanted() else {
                unlink(temporary)
                return false
            }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, target) == 0 else {
            let code = errno
            unlink(temporary)
            throw failure(file, code)
        }
        return true
    }

    /// Makes the bytes durable that somebody has written.
    func flush(_ file: String) throws(StoreError) {
        let descriptor = open(path(file), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw failure(file, errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(file, errno) }
    }

    func remove(_ file: String) throws(StoreError) {
        guard unlink(path(file)) == 0 || errno == ENOENT else { throw failure(file, errno) }
    }

    /// Makes the names in the folders of these files durable.
    func flushFolders(of files: some Sequence<String>) throws(StoreError) {
        let folders = Set(files.map { (path($0) as NSString).deletingLastPathComponent })
        try Abreast.forEach(Array(folders)) { folder throws(StoreError) in
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            // It was emptied and removed.
            if descriptor < 0, errno == ENOENT { return }
            guard descriptor >= 0 else { throw failure(folder, errno) }
            defer { close(descriptor) }
            guard fsync(descriptor) == 0 else { throw failure(folder, errno) }
        }
    }

    /// Every plain file below, relative to the root, but those whose name begins with a dot.
    /// - Parameter withOthers: also what is neither a plain file nor a folder.
    func files(
        below folder: String = "", withOthers: Bool = false
    ) throws(StoreError) -> [String] {
        let whole = folder.isEmpty ? root : path(folder)
        guard let stream = opendir(whole) else {
            if errno == ENOENT { return [] }
            throw failure(folder, errno)
        }
        defer { closedir(stream) }
        var found: [String] = []
        for name in try names(in: stream, folder) where !name.hasPrefix(".") {
            let relative = folder.isEmpty ? name : folder + "/" + name
            // Not every file system tells the kind of a file beside its name.
            var status = stat()
            guard lstat(path(relative), &status) == 0 else {
                if errno == ENOENT { continue }
                throw failure(relative, errno)
            }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: found += try files(below: relative, withOthers: withOthers)
            case S_IFREG: found.append(relative)
            default: if withOthers { found.append(relative) }
            }
        }
        return found
    }

    /// Everything in an open folder.
    func names(in stream: OpaquePointer, _ folder: String) throws(StoreError) -> [String] {
        var names: [String] = []
        while true {
            // Only this tells a failure from the end.
            errno = 0
            guard let item = readdir(stream) else {
                guard errno == 0 else { throw failure(folder, errno) }
                return names
            }
            names.append(
                withUnsafePointer(to: &item.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
    }

    private static func temporary(_ file: String) -> String {
        let name = file as NSString
        let folder = name.deletingLastPathComponent
        return (folder.isEmpty ? "" : folder + "/") + ".\(name.lastPathComponent).new"
    }

    private func write(
        _ bytes: [UInt8], to descriptor: Int32, _ file: String
    ) throws(StoreError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(
                    descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure(file, errno) }
            written += count
        }
    }

    /// With every folder above it that is missing, each durable in the one above.
    private func makeFolder(_ folder: String) throws(StoreError) {
        if mkdir(folder, 0o700) == 0 { return try flushParent(of: folder) }
        switch errno {
        case EEXIST: return
        case ENOENT:
            let above = (folder as NSString).deletingLastPathComponent
            guard above != folder, !above.isEmpty else { throw failure(folder, ENOENT) }
            try makeFolder(above)
            guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw failure(folder, errno) }
            try flushParent(of: folder)
        default: throw failure(folder, errno)
        }
    }

    private func flushParent(of folder: String) throws(StoreError) {
        let above = (folder as NSString).deletingLastPathComponent
        let descriptor = open(above.isEmpty ? "." : above, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(above, errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(above, errno) }
    }

    /// What another try may heal is no answer; what a person must change is a refusal.
    private func failure(_ file: String, _ code: Int32) -> StoreError {
        let problem = "\(file): \(String(cString: strerror(code)))"
        switch code {
        case EACCES, EPERM, EROFS, ENAMETOOLONG, ENOTDIR, ELOOP, EISDIR:
            return .refused(store: root, problem: problem)
        default: return .unavailable(store: root, problem: problem)
        }
    }
}
