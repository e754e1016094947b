import CurlClient
import ExactJSON
import Foundation
import Ledger
import Synchronization
import Trading

/// One call to Alpaca: credentials, the rate limit, and what an answer means.
final class AlpacaTransport: Sendable {
    struct Call: Sendable {
        enum Host: Sendable { case trading, marketData }

        var method: CurlRequest.Method
        var path: String
        var query: [(name: String, value: String)] = []
        var body: JSONText?
        var host = Host.trading
        var priority = RequestBucket.Priority.read
    }

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]

        var json: JSONValue? { try? JSONValue(parsing: body) }
        /// The broker's own code and words. A body without a whole number as its code is not the
        /// broker's: a gateway between us has answered, and its word decides nothing.
        var complaint: (code: Int, message: String)? {
            guard let json, case .number? = json["code"], let code = json["code"]?.integer,
                let message = json["message"]?.text
            else { return nil }
            // The words go into rows, and no row may hold a NUL.
            return (code, message.replacingOccurrences(of: "\0", with: "\u{FFFD}"))
        }
    }

    private let configuration: AlpacaConfiguration
    private let client: CurlClient
    private let now: @Sendable () -> Timestamp
    private let sleep: @Sendable (Duration) async throws -> Void
    /// A lock and not an actor: arithmetic on one bucket, and no waiting inside.
    private let buckets = Mutex<[String: RequestBucket]>([:])

    init(
        _ configuration: AlpacaConfiguration, _ client: CurlClient,
        now: @escaping @Sendable () -> Timestamp,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.configuration = configuration
        self.client = client
        self.now = now
        self.sleep = sleep
    }

    /// Sends a call and gives back every answer that is not an error for all calls alike.
    func send(_ call: Call, account name: String) async throws(BrokerError) -> Answer {
        guard let account = configuration.accounts[name] else {
            throw .unauthorized("no credentials are configured for account \(name)")
        }
        let bucket = call.host == .marketData ? "data \(name)" : name
        try await waitForTurn(bucket, call.priority)
        let response: CurlResponse
        do throws(CurlError) {
            response = try await client.send(request(call, account))
        } catch {
            throw Self.brokerError(error)
        }
        observe(response, bucket)
        return try checked(response)
    }

    private func request(_ call: Call, _ account: AlpacaConfiguration.Account) -> CurlRequest {
        let base = call.host == .marketData ? configuration.marketDataURL : account.baseURL
        var url = base.hasSuffix("/") ? String(base.dropLast()) : base
        url += "/v2" + call.path
        for (index, item) in call.query.enumerated() {
            url += (index == 0 ? "?" : "&") + item.name + "=" + Self.encoded(item.value)
        }
        var request = CurlRequest(
            call.method, url, timeout: configuration.timeout,
            connectTimeout: configuration.connectTimeout)
        request.headers = [
            "APCA-API-KEY-ID": account.keyID.reveal(),
            "APCA-API-SECRET-KEY": account.secret.reveal(), "Accept": "application/json",
        ]
        if let body = call.body {
            request.headers["Content-Type"] = "application/json"
            request.body = body.bytes
        }
        return request
    }

    /// Everything but RFC 3986's unreserved characters.
    static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.utf8.count == 1 ? "%0" + digits : "%" + digits
            }
        }
        return result
    }

    // MARK: What went wrong

    static func brokerError(_ error: CurlError) -> BrokerError {
        error.delivery == .notSent
            ? .unavailable(error.description) : .unknown(error.description)
    }

    private func checked(_ response: CurlResponse) throws(BrokerError) -> Answer {
        let answer = Answer(status: response.status, body: response.body)
        switch response.status {
        case 401:
            guard let complaint = answer.complaint else {
                throw .unknown("an answer 401 is not the broker's")
            }
            throw .unauthorized(complaint.message)
        case 408, 500...:
            throw .unknown("the broker answered \(response.status)")
        case 429:
            throw .rateLimited(retryAfterSeconds: retryAfter(response))
        default:
            return answer
        }
    }

    private func retryAfter(_ response: CurlResponse) -> Int {
        if let seconds = response.headers["Retry-After"].flatMap(Int.init) {
            return min(max(1, seconds), 60)
        }
        guard let reset = Self.reset(response) else { return 1 }
        return Int(min(max(1, reset.seconds - now().seconds), 60))
    }

    // MARK: The rate limit

    private func waitForTurn(
        _ key: String, _ priority: RequestBucket.Priority
    ) async throws(BrokerError) {
        let deadline = now().advanced(by: configuration.rateLimitWaitMax)
        while true {
            let time = now()
            let limit = configuration.requestsPerMinute
            let decision = buckets.withLock { buckets in
                buckets[key, default: RequestBucket(requestsPerMinute: limit, now: time)]
                    .take(priority, now: time)
            }
            guard case .wait(let microseconds) = decision else { return }
            guard time.microseconds + microseconds <= deadline.microseconds else {
                throw .rateLimited(
                    retryAfterSeconds: Int((microseconds + 999_999) / 1_000_000))
            }
            do {
                try await sleep(.microseconds(microseconds))
            } catch {
                throw .unavailable("cancelled while waiting for the rate limit")
            }
        }
    }

    private func observe(_ response: CurlResponse, _ key: String) {
        let time = now()
        let remaining = response.headers["X-RateLimit-Remaining"].flatMap(Int.init)
        let reset = Self.reset(response)
        let seconds = response.status == 429 ? retryAfter(response) : nil
        buckets.withLock { buckets in
            if let remaining {
                buckets[key]?.observe(remaining: remaining, resetsAt: reset, now: time)
            }
            if let seconds {
                buckets[key]?.block(until: time.advanced(bySeconds: Int64(seconds)), now: time)
            }
        }
    }

    private static func reset(_ response: CurlResponse) -> Timestamp? {
        guard let seconds = response.headers["X-RateLimit-Reset"].flatMap(Int64.init),
            (0..<1 << 40).contains(seconds)
        else { return nil }
        return Timestamp(microseconds: seconds * 1_000_000)
    }
}

extension Timestamp {
    fileprivate func advanced(by duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(
            microseconds: microseconds + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }
}
