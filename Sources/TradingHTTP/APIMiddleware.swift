import Dispatch
import HTTPTypes
import Hummingbird
import Ledger
import Logging
import Metrics
import Synchronization
import Trading

/// The outermost step: every answer gets the envelope, a line in the access log and its time in the
/// metrics, whatever happened further in.
struct AnswerMiddleware: RouterMiddleware {
    let accessLog: AccessLog
    let durations: RouteDurations
    let tokens: TokenCheck

    func handle(
        _ request: Request, context: APIContext,
        next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let start = DispatchTime.now().uptimeNanoseconds
        var context = context
        var response: Response
        do throws(APIError) {
            try tokens.admitStranger()
            let principal = try await tokens.principal(of: request)
            // Known from here on, so that what is refused next is logged under its name.
            context.principal = principal
            try tokens.admit(principal)
            response = await answer(request, context, next)
        } catch {
            response = error.response
        }
        // No route answers HEAD, and what refuses it has no body either: the client would take one for the
        // next answer.
        if request.method == .head { response = response.createHeadResponse() }
        let duration = Int64(DispatchTime.now().uptimeNanoseconds - start)
        durations.record(
            duration, route: context.endpointPath ?? "none", status: response.status.code)
        accessLog.add(
            AccessLog.Access(
                time: .now(), principal: context.principal, method: request.method.rawValue,
                path: request.uri.path, status: response.status.code,
                durationNanoseconds: duration))
        return response
    }

    private func answer(
        _ request: Request, _ context: APIContext,
        _ next: (Request, APIContext) async throws -> Response
    ) async -> Response {
        do {
            return try await next(request, context)
        } catch let error as APIError {
            return error.response
        } catch let error as any HTTPResponseError {
            return Envelope.failure(error.status, error.status.reasonPhrase)
        } catch {
            Logger(label: "trading-api").error("a request failed", metadata: ["error": "\(error)"])
            return Envelope.failure(.internalServerError, "internal error")
        }
    }
}

/// Whose request it is, by a valid, unrevoked token, and whether it is within the limits.
struct TokenCheck: Sendable {
    let authority: TokenAuthority
    let published: PublishedState
    let limits: RequestLimits

    /// Before the token is looked at.
    func admitStranger() throws(APIError) {
        do {
            try limits.admitRequest(at: .now())
        } catch {
            throw APIError(error)
        }
    }

    func admit(_ principal: Principal) throws(APIError) {
        do {
            try limits.admitRequest(of: principal.accountID, at: .now())
        } catch {
            throw APIError(error)
        }
    }

    func principal(of request: Request) async throws(APIError) -> Principal {
        let now = Timestamp.now()
        guard let header = request.headers[.authorization], header.hasPrefix("Bearer "),
            let principal = await authority.principal(
                of: String(header.dropFirst("Bearer ".count)), at: now),
            !published.isRevoked(tokenID: principal.tokenID)
        else {
            throw APIError(
                status: .unauthorized, message: "the token is missing, invalid, expired or revoked")
        }
        return principal
    }
}

/// The durations of requests by route and status. The lock guards the handles, which are made once
/// for each pair; it is held for a look-up.
final class RouteDurations: Sendable {
    private struct Key: Hashable {
        let route: String
        let status: Int
    }

    private let timers = Mutex<[Key: Metrics.Timer]>([:])

    func record(_ nanoseconds: Int64, route: String, status: Int) {
        let timer = timers.withLock { timers in
            let key = Key(route: route, status: status)
            if let timer = timers[key] { return timer }
            let timer = Metrics.Timer(
                label: "opsd_http_request_duration_seconds",
                dimensions: [("route", route), ("status", String(status))])
            timers[key] = timer
            return timer
        }
        timer.recordNanoseconds(nanoseconds)
    }
}
