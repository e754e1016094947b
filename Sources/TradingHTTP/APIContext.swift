public import Hummingbird

/// A request on its way through the trading API.
public struct APIContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    /// Set by the token check; every route behind it has one.
    var principal: Principal?

    public init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }

    func requirePrincipal() throws(APIError) -> Principal {
        guard let principal else {
            throw APIError(status: .unauthorized, message: "a token is needed")
        }
        return principal
    }
}
