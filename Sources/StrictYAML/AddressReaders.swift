public import Foundation
public import Ledger

/// A host and a TCP port.
public struct HostPort: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address; one of IPv6 without its brackets.
    public let host: String
    public let port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Nil unless the text is `host:port`, with brackets round an IPv6 address.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard let port = Int(digits), (1...65_535).contains(port), "\(port)" == digits else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
            guard host.allSatisfy({ $0.isHexDigit || ":.%".contains($0) }) else { return nil }
        } else {
            let isName = host.unicodeScalars.allSatisfy {
                $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil)
                    || "-._".unicodeScalars.contains($0)
            }
            guard isName else { return nil }
        }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: port)
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension YAMLValue {
    public func hostPort() -> HostPort? {
        guard !isRecording(.address),
            let scalar = scalar("an address, as in 127.0.0.1:8080")
        else { return nil }
        if let address = HostPort(scalar.text) { return address }
        refuse(
            "\(name): '\(Quoted.short(scalar.written))' is not an address",
            "write host:port with a port from 1 to 65535, as in 127.0.0.1:8080")
        return nil
    }

    /// An absolute URL with a host.
    public func url(schemes: [String] = ["http", "https"]) -> URL? {
        let example = "\(schemes.first ?? "https")://host/path"
        guard !isRecording(.url(schemes: schemes)), let scalar = scalar("a URL, as in \(example)")
        else { return nil }
        let shown = Quoted.short(scalar.written)
        guard let url = URL(string: scalar.text, encodingInvalidCharacters: false),
            let scheme = url.scheme?.lowercased(), let host = url.host, !host.isEmpty
        else {
            refuse("\(name): '\(shown)' is not a URL", "write one such as \(example)")
            return nil
        }
        guard schemes.contains(scheme) else {
            // The scheme of an expanded value could be a part of a secret.
            let which = scalar.isExpanded ? shown : Quoted.short(scheme)
            refuse(
                "\(name): a URL with '\(which)' cannot be used here",
                "begin it with \(schemes.map { $0 + "://" }.joined(separator: " or "))")
            return nil
        }
        return url
    }

    /// The text of a URL of a form that `url` does not read, such as one with several hosts. Secret,
    /// because it may hold a password, and not looked into: what is said of it is the caller's, and so
    /// are the schemes, which only the schema is told here.
    public func secretURL(schemes: [String]) -> Secret? {
        isRecording(.url(schemes: schemes)) ? nil : secret()
    }

    /// A path in the file's folder, made absolute (or at least relative to where that folder is).
    public func path() -> String? {
        guard let text = nonEmptyText() else { return nil }
        return expansion.resolve(path: text)
    }
}
