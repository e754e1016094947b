/// Why an exchange brought no answer.
///
/// It never holds headers, bodies or query strings: tokens live there.
public struct CurlError: Error, Sendable, Equatable, CustomStringConvertible {
    public var reason: Reason
    public var delivery: Delivery
    /// Scheme, host, port and path of the request.
    public var target: String
    /// libcurl's name of the error.
    public var detail: String

    public enum Reason: String, Sendable {
        case invalidRequest
        case couldNotResolve
        case couldNotConnect
        case secureConnectionFailed
        case timedOut
        case connectionLost
        case responseTooLarge
        /// This machine or process had no descriptor or no memory left for it.
        case outOfResources
        case cancelled
        case shutDown
        case other
    }

    /// What is known of the request's way, which decides whether it may be sent again.
    public enum Delivery: String, Sendable {
        /// Not one byte of the request left this machine: sending it again is safe.
        case notSent
        /// Some or all of it was sent: the server may have acted upon it.
        case ambiguous
    }

    /// It failed on this side before anything could be asked: it tells nothing of the server.
    public var saysNothingOfTheServer: Bool {
        switch reason {
        case .outOfResources, .cancelled, .shutDown: true
        case .invalidRequest, .couldNotResolve, .couldNotConnect, .secureConnectionFailed,
            .timedOut, .connectionLost, .responseTooLarge, .other:
            false
        }
    }

    public init(reason: Reason, delivery: Delivery, target: String, detail: String) {
        self.reason = reason
        self.delivery = delivery
        self.target = target
        self.detail = detail
    }

    public var description: String {
        let way = delivery == .notSent ? "nothing was sent" : "it may have been received"
        return "\(target): \(detail) (\(reason.rawValue); \(way))"
    }

    /// A URL without user information, query and fragment.
    static func target(of url: String) -> String {
        let bare = url.prefix { $0 != "?" && $0 != "#" }
        guard let scheme = bare.firstRange(of: "://") else { return "(not a URL)" }
        let rest = bare[scheme.upperBound...]
        let authorityEnd = rest.firstIndex(of: "/") ?? rest.endIndex
        guard let at = rest[..<authorityEnd].lastIndex(of: "@") else { return String(bare) }
        return String(bare[..<scheme.upperBound]) + rest[rest.index(after: at)...]
    }
}
