import HTTPTypes

/// What a token may be used for. There is no user management: tokens, and a list of roles.
public enum TokenRole: String, Sendable, CaseIterable {
    case admin, trader, researcher, viewer

    var permissions: [String] {
        switch self {
        case .admin: ["trade", "read", "market_data", "manage_tokens", "manage_data"]
        case .trader: ["trade", "read", "market_data"]
        case .researcher: ["read", "market_data"]
        case .viewer: ["read"]
        }
    }
}

/// Who a request comes from: an account, through a token. No role reaches another account's rows.
struct Principal: Sendable, Hashable {
    let accountID: String
    let role: TokenRole
    let permissions: Set<String>
    let tokenID: String
    let expiresAtSeconds: Int64

    func require(_ permission: String) throws(APIError) {
        guard permissions.contains(permission) else {
            throw APIError(
                status: .forbidden, message: "the token's role has no permission '\(permission)'")
        }
    }
}
