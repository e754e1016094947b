/// Where the values of `${env:NAME}` and `${file:PATH}` come from. Handed in, so that reading a
/// file depends on nothing else.
public struct Expansion: Sendable {
    /// The value of an environment variable, nil when there is none.
    public var environment: @Sendable (String) -> String?
    /// Relative paths begin here: the folder of the file that is being read.
    public var folder: String

    public init(environment: @escaping @Sendable (String) -> String?, folder: String) {
        self.environment = environment
        self.folder = folder
    }

    /// A path as written in a file, made absolute (or at least relative to `folder`).
    public func resolve(path: String) -> String {
        path.hasPrefix("/") || folder.isEmpty ? path : folder + "/" + path
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
        do {
            let text = try TextFile.contents(
                of: expansion.resolve(path: path), byteCountMax: Self.fileByteCountMax)
            return trimmed(text)
        } catch {
            findings.error(place, error.problem, error.remedy)
            return nil
        }
    }

    /// Editors end a file with a line break that is no part of the key in it.
    private func trimmed(_ text: String) -> String {
        var scalars = text.unicodeScalars[...]
        while let last = scalars.last, last == "\n" || last == "\r" { scalars.removeLast() }
        return String(scalars)
    }
}
