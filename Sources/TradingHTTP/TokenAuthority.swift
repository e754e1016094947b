import Foundation
import JWTKit
public import Ledger
import Synchronization
public import Trading

/// What a token says. HS256 only.
struct TokenClaims: JWTPayload {
    var account_id: String
    var account_type: String
    var role: String
    var permissions: [String]
    var iat: Int64
    var exp: Int64
    var jti: String

    /// Expiry is checked on every use, by the caller's clock; a token that verified once is kept.
    func verify(using algorithm: some JWTAlgorithm) async throws {}
}

/// Makes tokens and tells whose they are.
///
/// The lock guards the tokens whose signature was verified before, so that a client's second request
/// does not pay for it again; it is held for a look-up.
public final class TokenAuthority: Sendable {
    public static let lifetimeSeconds: Int64 = 24 * 3_600
    private static let keptMax = 10_000
    /// The end of the year 9999: what lies beyond is no time, and would not fit into a timestamp.
    private static let expiryMax: Int64 = 253_402_300_799

    private let keys = JWTKeyCollection()
    private let verified = Mutex<[String: Principal]>([:])

    public init(secret: Secret) async {
        await keys.add(hmac: HMACKey(from: secret.reveal()), digestAlgorithm: .sha256)
    }

    public func issue(
        account: Account, role: TokenRole, lifetimeSeconds: Int64, at now: Timestamp
    ) async throws -> String {
        try await sign(
            accountID: account.id, accountType: account.role.rawValue, role: role,
            lifetimeSeconds: lifetimeSeconds, at: now)
    }

    /// A new token for the same principal, with a full lifetime of its own.
    func renew(
        _ principal: Principal, accountType: String, at now: Timestamp
    ) async throws -> String {
        try await sign(
            accountID: principal.accountID, accountType: accountType, role: principal.role,
            lifetimeSeconds: Self.lifetimeSeconds, at: now)
    }

    private func sign(
        accountID: String, accountType: String, role: TokenRole, lifetimeSeconds: Int64,
        at now: Timestamp
    ) async throws -> String {
        try await keys.sign(
            TokenClaims(
                account_id: accountID, account_type: accountType, role: role.rawValue,
                permissions: role.permissions, iat: now.seconds,
                exp: now.seconds + lifetimeSeconds, jti: UUID().uuidString))
    }

    /// Whose token it is; nil when it is not one of ours or has expired.
    func principal(of token: String, at now: Timestamp) async -> Principal? {
        if let known = verified.withLock({ $0[token] }) {
            if known.expiresAtSeconds > now.seconds { return known }
            verified.withLock { _ = $0.removeValue(forKey: token) }
            return nil
        }
        guard Self.namesHS256(token),
            let claims = try? await keys.verify(token, as: TokenClaims.self),
            let role = TokenRole(rawValue: claims.role), claims.exp > now.seconds,
            claims.exp <= Self.expiryMax
        else { return nil }
        let principal = Principal(
            accountID: claims.account_id, role: role, permissions: Set(claims.permissions),
            tokenID: claims.jti, expiresAtSeconds: claims.exp)
        verified.withLock { verified in
            if verified.count >= Self.keptMax { verified.removeAll() }
            verified[token] = principal
        }
        return principal
    }

    /// The header must name the one algorithm that is used here, whatever a verifier would accept.
    private static func namesHS256(_ token: String) -> Bool {
        struct Header: Decodable { let alg: String }
        guard let end = token.firstIndex(of: ".") else { return false }
        var text = token[..<end].replacingOccurrences(of: "-", with: "+")
            .replacingOccurrences(of: "_", with: "/")
        text += String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: text),
            let header = try? JSONDecoder().decode(Header.self, from: data)
        else { return false }
        return header.alg == "HS256"
    }
}
