#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Why a file could not be read, and what to do about it.
struct TextFileError: Error {
    let problem: String
    let remedy: String
}

/// Reads a whole file as UTF-8, up to a stated size.
enum TextFile {
    static func contents(of path: String, byteCountMax: Int) throws(TextFileError) -> String {
        try file(at: path, byteCountMax: byteCountMax).text
    }

    /// The text and the file's permissions, both of the very same file.
    static func file(
        at path: String, byteCountMax: Int
    ) throws(TextFileError) -> (text: String, mode: UInt32) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw TextFileError(problem: "\(path) is not a file", remedy: "name a file")
        }
        let bytes = try readAll(descriptor, path: path, byteCountMax: byteCountMax)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw TextFileError(
                problem: "\(path) is not UTF-8 text", remedy: "save it as UTF-8")
        }
        let plain = text.hasPrefix("\u{FEFF}") ? String(text.unicodeScalars.dropFirst()) : text
        return (plain, UInt32(status.st_mode & 0o777))
    }

    private static func readAll(
        _ descriptor: Int32, path: String, byteCountMax: Int
    ) throws(TextFileError) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(path, errno) }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[0..<count])
            guard bytes.count <= byteCountMax else {
                throw TextFileError(
                    problem: "\(path) has more than \(byteCountMax) bytes",
                    remedy: "split it into several files")
            }
        }
    }

    private static func failure(_ path: String, _ code: Int32) -> TextFileError {
        let reason = String(cString: strerror(code))
        let remedy =
            switch code {
            case ENOENT: "create it, or correct the path"
            case EACCES: "let this user read it"
            default: "correct the path"
            }
        return TextFileError(problem: "cannot read \(path): \(reason)", remedy: remedy)
    }
}
