import Foundation

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The configuration that needs nothing: no server, no key, nothing to write. Its files hold what
/// the built-in defaults say, so that a person has something to begin with.
enum EmbeddedDefault {
    static let accountFileNames = [
        "master_accounts.yaml", "trading_accounts.yaml", "data_accounts.yaml",
        "backup_accounts.yaml",
    ]

    /// Writes what is missing and leaves alone what is there. Returns the path of `opsd.yaml`.
    /// Everything is on disk when this returns; `opsd.yaml` is written last, so that where it
    /// exists the files that it names do too.
    static func write(
        in directory: String, loginName: String = LoginName.current
    ) throws(FileWriteError) -> String {
        try PrivateFile.makeDirectory(directory)
        try PrivateFile.makeDirectory(directory + "/accounts")
        try PrivateFile.create(directory + "/jwt.key", randomHex(byteCount: 32) + "\n")
        try PrivateFile.create(directory + "/secret.key", randomHex(byteCount: 32) + "\n")
        let texts = [
            EmbeddedDefaultText.masters(key), EmbeddedDefaultText.trading(key),
            EmbeddedDefaultText.data(key), EmbeddedDefaultText.backups(key),
        ]
        for (name, text) in zip(accountFileNames, texts) {
            try PrivateFile.create("\(directory)/accounts/\(name)", text)
        }
        let path = directory + "/opsd.yaml"
        try PrivateFile.create(path, EmbeddedDefaultText.configuration(loginName: loginName))
        return path
    }

    private static func key(_ prefix: String) -> String { prefix + randomHex(byteCount: 16) }

    private static func randomHex(byteCount: Int) -> String {
        // On Linux the system's generator is the kernel's own: fit for keys.
        var generator = SystemRandomNumberGenerator()
        return (0..<byteCount).map { _ in
            let byte = UInt8.random(in: 0...255, using: &generator)
            return (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

/// A file could not be written. Trying again helps once the reason is gone.
struct FileWriteError: Error, CustomStringConvertible {
    let path: String
    let step: String
    let code: Int32

    var description: String {
        "cannot write \(path): \(step): \(String(cString: strerror(code))); "
            + "make room or correct the permissions, and run the command again"
    }
}

/// Files for their owner only, on disk before the call returns.
enum PrivateFile {
    static func makeDirectory(_ path: String) throws(FileWriteError) {
        guard mkdir(path, 0o700) != 0 else { return try syncFolder(of: path) }
        let code = errno
        var isDirectory: ObjCBool = false
        guard code == EEXIST,
            FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
            isDirectory.boolValue
        else {
            throw FileWriteError(path: path, step: "mkdir", code: code)
        }
    }

    /// Never in place of another.
    static func create(_ path: String, _ text: String) throws(FileWriteError) {
        guard access(path, F_OK) != 0 else { return }
        try put(path, text) { draft throws(FileWriteError) in
            // Unlike rename, link refuses to replace a file that somebody made meanwhile.
            guard link(draft, path) == 0 || errno == EEXIST else {
                throw FileWriteError(path: path, step: "link", code: errno)
            }
        }
    }

    /// In place of one that is there.
    static func replace(_ path: String, _ text: String) throws(FileWriteError) {
        try put(path, text) { draft throws(FileWriteError) in
            guard rename(draft, path) == 0 else {
                throw FileWriteError(path: path, step: "rename", code: errno)
            }
        }
    }

    static func remove(_ path: String) throws(FileWriteError) {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw FileWriteError(path: path, step: "unlink", code: errno)
        }
        try syncFolder(of: path)
    }

    /// Writes beside the name, and then has it put there: the name never stands for half a file.
    private static func put(
        _ path: String, _ text: String, _ place: (_ draft: String) throws(FileWriteError) -> Void
    ) throws(FileWriteError) {
        let draft = "\(path).\(getpid()).draft"
        unlink(draft)
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileWriteError(path: path, step: "open", code: errno) }
        defer {
            close(descriptor)
            unlink(draft)
        }
        try fill(text, in: descriptor, path: path)
        guard fsync(descriptor) == 0 else {
            throw FileWriteError(path: path, step: "fsync", code: errno)
        }
        try place(draft)
        try syncFolder(of: path)
    }

    private static func fill(
        _ text: String, in descriptor: Int32, path: String
    ) throws(FileWriteError) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileWriteError(path: path, step: "write", code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    private static func syncFolder(of path: String) throws(FileWriteError) {
        let descriptor = open(AbsolutePath.folder(of: path), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileWriteError(path: path, step: "open", code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw FileWriteError(path: path, step: "fsync", code: errno)
        }
    }
}
