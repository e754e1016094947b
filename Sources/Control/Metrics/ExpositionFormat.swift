/// The text a scrape is answered with.
public enum ExpositionFormat: Sendable, Equatable, CaseIterable {
    /// Prometheus text format 0.0.4.
    case text
    /// OpenMetrics 1.0.0.
    case openMetrics

    public var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// OpenMetrics when the Accept header names it, in version 1.0.0 or in none, and does not like
    /// plain text better. Plain text for everything else: it is what every scraper reads.
    public init(accept: String?) {
        var openMetrics = 0.0
        var text = 0.0
        for range in (accept ?? "").split(separator: ",") {
            let parameters = range.split(separator: ";").map { Self.trimmed($0) }
            guard let type = parameters.first else { continue }
            let quality = Self.value(of: "q", in: parameters).map { Double($0) ?? 0 } ?? 1
            let version = Self.value(of: "version", in: parameters)
            switch type {
            case "application/openmetrics-text" where version == nil || version == "1.0.0":
                openMetrics = max(openMetrics, quality)
            case "text/plain" where version == nil || version == "0.0.4":
                text = max(text, quality)
            default:
                break
            }
        }
        self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
    }

    private static func trimmed(_ part: Substring) -> String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        return String(
            part.drop(while: isBlank).reversed().drop(while: isBlank).reversed()
        ).lowercased()
    }

    private static func value(of name: String, in parameters: [String]) -> String? {
        for parameter in parameters.dropFirst() where parameter.hasPrefix("\(name)=") {
            return parameter.dropFirst(name.count + 1).filter { $0 != "\"" }
        }
        return nil
    }
}
