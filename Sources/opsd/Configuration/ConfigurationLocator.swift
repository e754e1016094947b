import Foundation

/// Finds the configuration: `-c FILE`, else `./opsd.yaml`, else `./data/opsd.yaml`.
struct ConfigurationLocator {
    static let candidates = ["opsd.yaml", "data/opsd.yaml"]

    /// Where relative paths begin; nil: the working directory.
    var directory: String?

    /// The path of an existing configuration, as findings are to print it. A file that was named
    /// is returned as it is: whoever reads it says what is wrong with it.
    func find(_ named: String?) throws(ConfigurationNotFound) -> String {
        if let named { return named }
        for candidate in Self.candidates {
            let path = shown(candidate)
            if FileManager.default.fileExists(atPath: path) { return path }
        }
        throw ConfigurationNotFound(looked: Self.candidates.map(shown))
    }

    /// For `opsd run` only: where there is no configuration, writes the embedded default.
    func findOrWriteDefault(_ named: String?) throws -> (path: String, isNew: Bool) {
        do {
            return (try find(named), false)
        } catch {
            let path = try EmbeddedDefault.write(in: shown("data"))
            return (path, true)
        }
    }

    private func shown(_ path: String) -> String { directory.map { $0 + "/" + path } ?? path }
}

/// No configuration where one is looked for: exit code 2.
struct ConfigurationNotFound: Error, CustomStringConvertible {
    let looked: [String]

    var description: String {
        "there is no configuration (\(looked.joined(separator: ", "))); name one with -c FILE, "
            + "or let 'opsd run' write the embedded default"
    }
}
