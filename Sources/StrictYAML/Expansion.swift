/// Where the values of `${env:NAME}`, `${file:PATH}` and `enc:v1:…` come from. Handed in, so that
/// reading a file depends on nothing else.
public struct Expansion: Sendable {
    /// The value of an environment variable, nil when there is none.
    public var environment: @Sendable (String) -> String?
    /// Relative paths begin here: the folder of the file that is being read.
    public var folder: String
    /// The plain text of a value that begins with `encryptedPrefix`.
    public var decrypt: Decrypt

    public typealias Decrypt = @Sendable (String) throws(DecryptionFailure) -> String

    /// How an encrypted value begins.
    public static let encryptedPrefix = "enc:v1:"

    public init(
        environment: @escaping @Sendable (String) -> String?, folder: String,
        decrypt: @escaping Decrypt = Self.noKey
    ) {
        self.environment = environment
        self.folder = folder
        self.decrypt = decrypt
    }

    /// A path as written in a file, made absolute (or at least relative to `folder`).
    public func resolve(path: String) -> String {
        path.hasPrefix("/") || folder.isEmpty ? path : folder + "/" + path
    }

    /// Where no key is at hand.
    public static let noKey: Decrypt = { _ throws(DecryptionFailure) in
        throw DecryptionFailure(
            problem: "is encrypted, and there is no key to decrypt it", remedy: "name a key file")
    }
}

/// Why an encrypted value cannot be read. Shows neither the value nor the key. `problem` goes on
/// after the value's name: `is encrypted, and …`.
public struct DecryptionFailure: Error, Equatable {
    public let problem: String
    public let remedy: String

    public init(problem: String, remedy: String) {
        self.problem = problem
        self.remedy = remedy
    }
}

/// Carries out the `${…}` in one scalar. What it puts in is not looked at again.
struct Expander {
    let expansion: Expansion
    let place: Place
    let findings: Findings

    /// A key file or address is small; anything larger was not meant.
    private static let fileByteCountMax = 1 << 20

    /// Nil when something was wrong, which is recorded.
    func expand(_ text: String) -> String? {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstRange(of: "${") {
            if rest[..<dollar.lowerBound].hasSuffix("$") {
                // `$${` is how a literal `${` is written.
                result += rest[..<dollar.upperBound].dropLast(3) + "${"
                rest = rest[dollar.upperBound...]
                continue
            }
            result += rest[..<dollar.lowerBound]
            rest = rest[dollar.upperBound...]
            guard let end = rest.firstIndex(of: "}") else {
                findings.error(
                    place, "'${' without its '}'", "write ${env:NAME}, or $${ for a literal ${")
                return nil
            }
            guard let value = value(of: String(rest[..<end])) else { return nil }
            result += value
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private func value(of reference: String) -> String? {
        if reference.hasPrefix("env:") { return variable(String(reference.dropFirst(4))) }
        if reference.hasPrefix("file:") { return contents(String(reference.dropFirst(5))) }
        findings.error(
            place, "'${\(Quoted.short(reference))}' is not understood",
            "write ${env:NAME} or ${file:PATH}, or $${ for a literal ${")
        return nil
    }

    private func variable(_ name: String) -> String? {
        guard let value = expansion.environment(name) else {
            findings.error(
                place, "the environment variable '\(Quoted.short(name))' is not set",
                "set it before the start")
            return nil
        }
        return value
    }

    private func contents(_ path: String) -> String? {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            findings.error(place, "${file:} names no file", "write ${file:PATH}")
            return nil
        }
        let path = expansion.resolve(path: path)
        do {
            let file = try TextFile.file(at: path, byteCountMax: Self.fileByteCountMax)
            FilePermissions(mode: file.mode).judge(path, at: place, findings)
            return file.text.trimmingLineBreaksAtEnd()
        } catch {
            findings.error(place, error.problem, error.remedy)
            return nil
        }
    }
}

/// Who but its owner can get at a file that holds a secret.
public struct FilePermissions: Sendable, Equatable {
    public let mode: UInt32

    public init(mode: UInt32) {
        self.mode = mode
    }

    public var isReadableByOthers: Bool { mode & 0o044 != 0 }
    /// Whoever can write it can put a key of his own into its place.
    public var isWritableByOthers: Bool { mode & 0o022 != 0 }

    /// The lowest nine bits, as `chmod` takes them.
    public var octal: String {
        let digits = String(mode & 0o777, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// A file that others may read is taken with a warning, because containers mount secrets so;
    /// one that others may write is refused.
    public func judge(_ path: String, at place: Place, _ findings: Findings) {
        let remedy = "run 'chmod 600 \(path)'"
        if isWritableByOthers {
            findings.error(place, "others may write \(path) (mode \(octal))", remedy)
        } else if isReadableByOthers {
            findings.warning(place, "others may read \(path) (mode \(octal))", remedy)
        }
    }
}

extension String {
    /// Editors end a file with a line break that is no part of the key in it.
    public func trimmingLineBreaksAtEnd() -> String {
        var scalars = unicodeScalars[...]
        while let last = scalars.last, last == "\n" || last == "\r" { scalars.removeLast() }
        return String(scalars)
    }
}
