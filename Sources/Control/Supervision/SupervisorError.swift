/// Why the supervisor did not do what it was asked.
public enum SupervisorError: Error, Equatable, CustomStringConvertible {
    case unknownService(ServiceName, known: [ServiceName])
    case stopping

    public var description: String {
        switch self {
        case .unknownService(let name, let known):
            "there is no service '\(name)'; there are: \(known.joined(separator: ", "))"
        case .stopping:
            "the supervisor is stopping; nothing starts any more"
        }
    }
}
