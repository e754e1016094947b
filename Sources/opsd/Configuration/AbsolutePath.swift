import Foundation
import StrictYAML

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Paths made absolute, with `.` and `..` taken out of them by their text alone.
enum AbsolutePath {
    static func of(
        _ path: String, in folder: String = FileManager.default.currentDirectoryPath
    ) -> String {
        let whole = path.hasPrefix("/") ? path : folder + "/" + path
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    static func isDirectory(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            && isDirectory.boolValue
    }

    static func read(_ value: YAMLValue?) -> String? { value?.path().map { of($0) } }
}

/// Who runs this process, where that can be a name in the configuration.
enum LoginName {
    static var current: String {
        guard let entry = getpwuid(geteuid()), let text = entry.pointee.pw_name else {
            return "admin"
        }
        let name = String(cString: text)
        return ServiceReader.isName(name) ? name : "admin"
    }
}

enum TimeZones {
    /// Only names of the tz database: an abbreviation such as `EST` says nothing about summer.
    static func zone(_ name: String) -> TimeZone? {
        if name == "UTC" { return .gmt }
        guard known.contains(name) || name.hasPrefix("Etc/") else { return nil }
        return TimeZone(identifier: name)
    }

    /// Foundation calls UTC by another name.
    static func name(of zone: TimeZone) -> String {
        zone.identifier == "GMT" ? "UTC" : zone.identifier
    }

    private static let known = Set(TimeZone.knownTimeZoneIdentifiers)
}
