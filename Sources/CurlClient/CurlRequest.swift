/// One HTTP request. Redirects are never followed: a redirect is an answer like any other.
public struct CurlRequest: Sendable {
    public var method: Method
    /// `http` or `https`; any other scheme is refused.
    public var url: String
    public var headers: CurlHeaders
    public var body: [UInt8]?
    /// For the whole exchange, from the moment it is handed over: waiting for a connection counts.
    public var timeout: Duration
    public var connectTimeout: Duration
    /// Connects to this Unix socket in place of the URL's host and port.
    public var unixSocketPath: String?

    public init(
        _ method: Method = .get, _ url: String, headers: CurlHeaders = [:],
        body: [UInt8]? = nil, timeout: Duration = .seconds(30),
        connectTimeout: Duration = .seconds(5), unixSocketPath: String? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.unixSocketPath = unixSocketPath
    }

    public enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"

        /// Whether sending twice is the same as sending once, whatever the server.
        var isSafe: Bool { self == .get || self == .head }
    }
}

/// The server's answer, whatever its status.
public struct CurlResponse: Sendable {
    public var status: Int
    public var headers: CurlHeaders
    public var body: [UInt8]
    /// From the start of the transfer to its last byte.
    public var duration: Duration

    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// Header fields in their order. Names are compared without regard to case.
public struct CurlHeaders: Sendable, ExpressibleByDictionaryLiteral {
    public struct Field: Sendable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    public var fields: [Field]

    public init(_ fields: [Field] = []) {
        self.fields = fields
    }

    public init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0.0, value: $0.1) }
    }

    /// The first field of this name; assignment replaces them all.
    public subscript(name: String) -> String? {
        get { fields.first { Self.equal($0.name, name) }?.value }
        set {
            fields.removeAll { Self.equal($0.name, name) }
            if let newValue { fields.append(Field(name: name, value: newValue)) }
        }
    }

    public func all(_ name: String) -> [String] {
        fields.filter { Self.equal($0.name, name) }.map(\.value)
    }

    /// ASCII letters only: header names have no others.
    private static func equal(_ left: String, _ right: String) -> Bool {
        guard left.utf8.count == right.utf8.count else { return false }
        return zip(left.utf8, right.utf8).allSatisfy { lowercase($0) == lowercase($1) }
    }

    private static func lowercase(_ byte: UInt8) -> UInt8 {
        (65...90).contains(byte) ? byte | 0x20 : byte
    }
}
