import Crypto
import Foundation
import StrictYAML

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The key of `enc:v1:` values: AES-GCM with 256 bits.
///
/// An encrypted value is `enc:v1:` and the base64 of nonce (12 bytes, random), cipher text and tag
/// (16 bytes). The key's file holds 64 hexadecimal digits and is for its owner only.
struct SecretKey: Sendable {
    private let key: SymmetricKey
    /// What findings name.
    private let file: String

    /// Nil unless the text is 64 hexadecimal digits.
    init?(hex text: String, file: String) {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            let pair = String(decoding: digits[index..<index + 2], as: UTF8.self)
            guard pair.allSatisfy(\.isHexDigit), let byte = UInt8(pair, radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        key = SymmetricKey(data: bytes)
        self.file = file
    }

    /// What a new key file holds.
    static func newFileText() -> String {
        SymmetricKey(size: .bits256).withUnsafeBytes { bytes in
            bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
        }
    }

    var bytes: Data { key.withUnsafeBytes { Data($0) } }

    static func load(_ path: String) throws(SecretKeyError) -> SecretKey {
        let file = try KeyFile.read(path)
        guard file.permissions.mode & 0o077 == 0 else {
            throw SecretKeyError(
                "others than its owner may use \(path) (mode \(file.permissions.octal))",
                "run 'chmod 600 \(path)'")
        }
        guard let key = SecretKey(hex: file.text, file: path) else {
            throw SecretKeyError(
                "\(path) holds no key of 64 hexadecimal digits",
                "make one with 'opsd secret keygen --out FILE'")
        }
        return key
    }

    func encrypt(_ plain: String) throws -> String {
        let box = try AES.GCM.seal(Data(plain.utf8), using: key)
        // With a nonce of 12 bytes, which is the one that `seal` makes, there is always one text.
        guard let combined = box.combined else {
            throw CryptoKitError.incorrectParameterSize
        }
        return Expansion.encryptedPrefix + combined.base64EncodedString()
    }

    func decrypt(_ text: String) throws(DecryptionFailure) -> String {
        let coded = String(text.dropFirst(Expansion.encryptedPrefix.count))
        guard let bytes = Data(base64Encoded: coded),
            let box = try? AES.GCM.SealedBox(combined: bytes)
        else {
            throw DecryptionFailure(
                problem: "begins with enc:v1: and is not an encrypted value",
                remedy: "write what 'opsd secret encrypt' prints")
        }
        guard let plain = try? AES.GCM.open(box, using: key) else {
            throw DecryptionFailure(
                problem: "cannot be decrypted: it was altered, or \(file) is not its key",
                remedy: "encrypt the value again with 'opsd secret encrypt'")
        }
        guard let text = String(validating: plain, as: UTF8.self) else {
            throw DecryptionFailure(
                problem: "is decrypted, and is not UTF-8 text",
                remedy: "encrypt the value again with 'opsd secret encrypt'")
        }
        return text
    }
}

/// A key file cannot be used. Trying again helps once the file is as it should be.
struct SecretKeyError: Error, CustomStringConvertible {
    let problem: String
    let remedy: String
    var isMissing = false

    init(_ problem: String, _ remedy: String, isMissing: Bool = false) {
        self.problem = problem
        self.remedy = remedy
        self.isMissing = isMissing
    }

    var description: String { "\(problem); \(remedy)" }
}

/// A small file with a key in it.
struct KeyFile {
    /// Without the line breaks at its end.
    let text: String
    let permissions: FilePermissions

    private static let byteCountMax = 1 << 16

    static func read(_ path: String) throws(SecretKeyError) -> KeyFile {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw SecretKeyError(
                "cannot read \(path): \(String(cString: strerror(errno)))",
                errno == EACCES ? "let this user read it" : "create it, or correct the path",
                isMissing: errno == ENOENT)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw SecretKeyError("\(path) is not a file", "name a file")
        }
        var bytes = [UInt8](repeating: 0, count: byteCountMax)
        let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0, count < byteCountMax,
            let text = String(validating: bytes.prefix(count), as: UTF8.self)
        else {
            throw SecretKeyError("\(path) does not hold a key", "name another file")
        }
        return KeyFile(
            text: text.trimmingLineBreaksAtEnd(),
            permissions: FilePermissions(mode: UInt32(status.st_mode)))
    }
}
