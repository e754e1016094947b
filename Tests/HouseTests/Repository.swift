import Foundation

/// What a rule found: where, and what is wrong there.
struct Finding: Equatable, CustomStringConvertible {
    let path: String
    let line: Int
    let problem: String

    var description: String { "\(path):\(line): \(problem)" }
}

/// A text file of the repository.
struct TextFile {
    /// From the repository's root.
    let path: String
    let lines: [String]
    /// Nil for what is not Swift.
    let swift: SwiftText?

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        swift = path.hasSuffix(".swift") ? SwiftText(text) : nil
    }

    /// The target that a file under `Sources` belongs to. Stores, brokers and C libraries have a
    /// folder of their own around their targets.
    var target: String? {
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count > 2, parts[0] == "Sources" else { return nil }
        let isShelf = ["Stores", "Brokers", "CLibraries"].contains(parts[1])
        return isShelf ? parts[2] : parts[1]
    }

    func finding(_ index: Int, _ problem: String) -> Finding {
        Finding(path: path, line: index + 1, problem: problem)
    }
}

/// The repository as the rules see it: texts by path, and which paths there are.
struct Repository {
    let files: [TextFile]
    private let paths: Set<String>

    init(_ texts: [String: String]) {
        files = texts.sorted { $0.key < $1.key }.map { TextFile(path: $0.key, text: $0.value) }
        var paths: Set<String> = []
        for path in texts.keys {
            var rest = path[...]
            paths.insert(path)
            // Each folder above it is a path too.
            while let slash = rest.lastIndex(of: "/") {
                rest = rest[..<slash]
                paths.insert(String(rest))
            }
        }
        self.paths = paths
    }

    func has(_ path: String) -> Bool {
        paths.contains(path.hasSuffix("/") ? String(path.dropLast()) : path)
    }

    /// Swift files of the product.
    var sources: [TextFile] { files.filter { $0.target != nil && $0.swift != nil } }

    func documents(under folder: String = "") -> [TextFile] {
        files.filter { $0.path.hasPrefix(folder) && $0.path.hasSuffix(".md") }
    }
}

extension Repository {
    /// The working copy that these tests were built from.
    static let onDisk: Repository = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        return Repository(texts(in: root))
    }()

    /// What a build or a run leaves behind is not the repository's.
    private static func isForeign(_ name: String, isAtRoot: Bool) -> Bool {
        if name == ".ci" || name == ".gitignore" || name == ".swift-format" { return false }
        return name.hasPrefix(".") || name == "Package.resolved" || name == "__pycache__"
            || name.hasSuffix(".xcodeproj") || isAtRoot && name == "data"
    }

    private static func texts(in root: URL) -> [String: String] {
        var texts: [String: String] = [:]
        var folders = [""]
        while let folder = folders.popLast() {
            let url = folder.isEmpty ? root : root.appendingPathComponent(folder)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
            for name in names where !isForeign(name, isAtRoot: folder.isEmpty) {
                let path = folder.isEmpty ? name : folder + "/" + name
                let file = root.appendingPathComponent(path)
                if (try? file.resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true {
                    folders.append(path)
                } else {
                    let data = (try? Data(contentsOf: file)) ?? Data()
                    // What is no text counts as a path only.
                    texts[path] = String(data: data, encoding: .utf8) ?? ""
                }
            }
        }
        return texts
    }
}
