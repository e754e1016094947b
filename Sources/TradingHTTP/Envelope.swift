import Foundation
package import HTTPTypes
package import Hummingbird
import Ledger
import NIOCore
package import Trading

/// The documents' envelope: `{"code":200,"data":…,"message":"ok"}`.
package enum Envelope {
    package static func success(
        _ status: HTTPResponse.Status = .ok, message: String = "ok",
        _ data: (inout JSONWriter) -> Void
    ) -> Response {
        response(status, message: message, data)
    }

    package static func failure(
        _ status: HTTPResponse.Status, _ message: String, retryAfterSeconds: Int? = nil
    ) -> Response {
        var response = response(status, message: message) { $0.null() }
        if let retryAfterSeconds { response.headers[.retryAfter] = String(retryAfterSeconds) }
        if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }

    private static func response(
        _ status: HTTPResponse.Status, message: String, _ data: (inout JSONWriter) -> Void
    ) -> Response {
        var writer = JSONWriter()
        writer.object { json in
            json.member("code", status.code)
            json.name("data")
            data(&json)
            json.member("message", message)
        }
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: writer.bytes)))
    }
}

/// One page of a list: `{total,page,pageSize,data}` inside the envelope.
struct Page: Sendable {
    let page: Int
    let pageSize: Int

    private static let sizeMax = 500

    init(_ request: Request) throws(APIError) {
        page = try request.query.positive("page", default: 1, max: 1_000_000)
        pageSize = try request.query.positive("pageSize", default: 20, max: Self.sizeMax)
    }

    var offset: Int { (page - 1) * pageSize }

    func response<Item>(
        total: Int, _ items: [Item], _ write: (inout JSONWriter, Item) -> Void
    ) -> Response {
        Envelope.success { json in
            json.object { json in
                json.member("total", total)
                json.member("page", page)
                json.member("pageSize", pageSize)
                json.name("data")
                json.array(items, write)
            }
        }
    }
}

/// An answer that is not a success, with the sentence that says why.
package struct APIError: Error {
    package let status: HTTPResponse.Status
    package let message: String
    package var retryAfterSeconds: Int?

    package init(
        status: HTTPResponse.Status, message: String, retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
    }

    package var response: Response {
        Envelope.failure(status, message, retryAfterSeconds: retryAfterSeconds)
    }

    package static func badRequest(_ message: String) -> APIError {
        APIError(status: .badRequest, message: message)
    }

    package static func notFound(_ message: String) -> APIError {
        APIError(status: .notFound, message: message)
    }
}

extension APIError {
    /// The HTTP status that each refusal has in the contract.
    package init(_ error: EngineError) {
        switch error {
        case .refused(let refusal): self.init(refusal)
        case .journalFull, .stopped:
            self.init(status: .serviceUnavailable, message: "\(error)", retryAfterSeconds: 5)
        case .unknown:
            self.init(status: .internalServerError, message: "\(error)")
        }
    }

    package init(_ refusal: Refusal) {
        let status: HTTPResponse.Status
        var retryAfterSeconds: Int?
        switch refusal {
        case .unknownAccount, .unknownOrder, .unknownRow, .unknownRepair: status = .notFound
        case .accountClosed, .risk, .insufficientFunds, .insufficientPosition, .notCancelable,
            .notResolvable, .invalid:
            status = .unprocessableContent
        case .clientOrderIDTaken, .notInState: status = .conflict
        case .conditionFailed: status = .preconditionFailed
        case .tooManyRows, .tooManyRowBytes:
            status = .init(code: 507, reasonPhrase: "Insufficient Storage")
        case .tooManyOrders:
            status = .tooManyRequests
            retryAfterSeconds = 1
        case .accountNotReady, .noPrice, .queueFull, .staleLookUp:
            status = .serviceUnavailable
            retryAfterSeconds = 1
        }
        self.init(
            status: status, message: refusal.description, retryAfterSeconds: retryAfterSeconds)
    }

    init(_ error: StoreError) {
        self.init(
            status: .serviceUnavailable, message: "the checkpoint cannot be read: \(error)",
            retryAfterSeconds: 1)
    }

    init(_ failure: QuoteBoard.Failure) {
        switch failure {
        case .unknownSymbol(let symbol):
            self.init(status: .notFound, message: "there is no quote for '\(symbol)'")
        case .unavailable(let symbol):
            self.init(
                status: .serviceUnavailable,
                message: "the broker gave no quote for \(symbol); try again shortly",
                retryAfterSeconds: 1)
        case .limited(let exceeded): self.init(exceeded)
        }
    }

    init(_ failure: BarBoard.Failure) {
        switch failure {
        case .unknownSymbol(let symbol):
            self.init(status: .notFound, message: "there are no bars of '\(symbol)'")
        case .unavailable(let symbol):
            self.init(
                status: .serviceUnavailable,
                message: "the broker gave no bars of \(symbol); try again shortly",
                retryAfterSeconds: 1)
        case .limited(let exceeded): self.init(exceeded)
        case .refused(let words):
            self.init(status: .unprocessableContent, message: "the broker refuses: \(words)")
        }
    }

    init(_ exceeded: RequestLimits.Exceeded) {
        self.init(
            status: .tooManyRequests, message: "over the limit \(exceeded.limit)",
            retryAfterSeconds: exceeded.retryAfterSeconds)
    }
}

/// The query part of a request's address.
struct Query {
    private let values: Parameters

    init(_ values: Parameters) {
        self.values = values
    }

    func text(_ name: Substring) -> String? {
        values[name].map(String.init)
    }

    func positive(_ name: Substring, default value: Int, max: Int) throws(APIError) -> Int {
        guard let text = text(name) else { return value }
        guard let number = Int(text), (1...max).contains(number) else {
            throw .badRequest("\(name) must be a whole number from 1 to \(max)")
        }
        return number
    }

    /// `YYYYMMDD`, `YYYY-MM-DD` (both the day's start in UTC) or RFC 3339. For the end of a range of
    /// days, `wholeDay` gives the start of the next day.
    func instant(_ name: Substring, wholeDay: Bool = false) throws(APIError) -> Timestamp? {
        guard let text = text(name) else { return nil }
        if let time = Timestamp(text) { return time }
        var day = text
        if day.utf8.count == 8 {
            day = "\(text.prefix(4))-\(text.dropFirst(4).prefix(2))-\(text.suffix(2))"
        }
        guard day.utf8.count == 10, let start = Timestamp("\(day)T00:00:00Z") else {
            throw .badRequest("\(name) must be YYYYMMDD, YYYY-MM-DD or an RFC 3339 time")
        }
        return wholeDay ? start.advanced(bySeconds: 86_400) : start
    }
}

extension Request {
    var query: Query { Query(uri.queryParameters) }
}
