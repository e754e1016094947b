import ExactJSON
import HTTPTypes
import Hummingbird
import Ledger
import Logging
import NIOCore
import Synchronization

/// HTTP around the endpoints: authentication, the rate limit, latency, and the dialect's errors.
final class PaperResponder: HTTPResponder {
    typealias Context = BasicRequestContext

    private let configuration: PaperBrokerConfiguration
    private let endpoints: PaperEndpoints
    private let now: @Sendable () -> Timestamp
    private let logger: Logger
    /// A lock and not an actor: a few integers, held for nanoseconds.
    private let windows = Mutex<[String: RequestWindow]>([:])
    private static let bodyBytesMax = 1 << 16

    init(
        _ configuration: PaperBrokerConfiguration, _ exchange: PaperExchange,
        _ now: @escaping @Sendable () -> Timestamp, _ logger: Logger
    ) {
        self.configuration = configuration
        self.now = now
        self.logger = logger
        endpoints = PaperEndpoints(exchange: exchange, now: now)
    }

    func respond(to request: Request, context: Context) async throws -> Response {
        if request.uri.path == "/healthz" {
            return response(200, .object { $0.string("status", "ok") })
        }
        if let latency = configuration.artificialLatency { try await Task.sleep(for: latency) }
        guard let account = authenticated(request) else {
            return response(
                PaperRefusal(status: 401, code: 40_110_000, message: "request is not authorized"))
        }
        let isData = request.uri.path.hasPrefix("/v2/stocks")
        let (window, isAllowed) = take(isData ? "data \(account)" : account)
        var answer: Response
        if isAllowed {
            answer = await served(request, account: account)
        } else {
            answer = response(
                PaperRefusal(status: 429, code: 42_910_000, message: "too many requests"))
        }
        set(&answer, "X-RateLimit-Limit", String(window.limit))
        set(&answer, "X-RateLimit-Remaining", String(window.remaining))
        set(&answer, "X-RateLimit-Reset", String(window.resetsAt))
        return answer
    }

    private func served(_ request: Request, account: String) async -> Response {
        do {
            var parts = request.uri.path.split(separator: "/").map(String.init)
            guard parts.first == "v2" else {
                throw PaperRefusal(status: 404, code: 40_410_000, message: "endpoint not found")
            }
            parts.removeFirst()
            let body = try await request.body.collect(upTo: Self.bodyBytesMax)
            var parameters: [String: String] = [:]
            for (key, value) in request.uri.queryParameters {
                parameters[String(key)] = String(value)
            }
            let answer = try await endpoints.answer(
                PaperEndpoints.Call(
                    method: request.method.rawValue, path: parts, parameters: parameters,
                    body: Array(body.readableBytesView), account: account))
            return response(answer.status, answer.json)
        } catch let refusal as PaperRefusal {
            return response(refusal)
        } catch {
            logger.error("a request failed", metadata: ["error": "\(error)"])
            return response(
                PaperRefusal(status: 500, code: 50_010_000, message: "internal server error"))
        }
    }

    /// Every account is compared, and every byte of it, so that the time tells nothing.
    private func authenticated(_ request: Request) -> String? {
        let keyID = header(request, "APCA-API-KEY-ID")
        let secret = header(request, "APCA-API-SECRET-KEY")
        var found: String?
        for account in configuration.accounts {
            let isKey = Self.isEqual(account.keyID, keyID)
            let isSecret = Self.isEqual(account.secret, secret)
            if isKey && isSecret { found = account.id }
        }
        return found
    }

    private static func isEqual(_ known: String, _ given: String) -> Bool {
        let known = Array(known.utf8)
        let given = Array(given.utf8)
        guard !known.isEmpty else { return false }
        var difference = known.count ^ given.count
        for index in given.indices {
            difference |= Int(given[index] ^ known[index % known.count])
        }
        return difference == 0
    }

    private func take(_ key: String) -> (RequestWindow, Bool) {
        let time = now()
        let limit = configuration.requestsPerMinute
        return windows.withLock { windows in
            let isAllowed = windows[key, default: RequestWindow(limit: limit)].take(now: time)
            return (windows[key, default: RequestWindow(limit: limit)], isAllowed)
        }
    }

    private func header(_ request: Request, _ name: String) -> String {
        HTTPField.Name(name).flatMap { request.headers[$0] } ?? ""
    }

    private func set(_ response: inout Response, _ name: String, _ value: String) {
        if let name = HTTPField.Name(name) { response.headers[name] = value }
    }

    private func response(_ refusal: PaperRefusal) -> Response {
        response(refusal.status, PaperJSON.refusal(refusal))
    }

    private func response(_ status: Int, _ json: JSONText?) -> Response {
        let code = HTTPResponse.Status(code: status)
        guard let json else { return Response(status: code) }
        return Response(
            status: code, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: json.bytes)))
    }
}
