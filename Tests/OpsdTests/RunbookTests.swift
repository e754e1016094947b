import ArgumentParser
import Foundation
import Testing

@testable import opsd

/// What on-call is told to type is understood.
@Suite struct RunbookTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "runbooks")

    /// Lines of blocks that begin with `opsd`, their variables and quotes taken away.
    private static func commands(_ page: String) -> [[String]] {
        var isBlock = false
        return page.split(separator: "\n").compactMap { line in
            if line.hasPrefix("```") { isBlock.toggle() }
            guard isBlock, line.hasPrefix("opsd ") else { return nil }
            let plain = line.replacing(/"[^"]*"/, with: "text").replacing(/\$[A-Z]+/, with: "name")
            return plain.split(separator: " ").dropFirst().map(String.init)
        }
    }

    @Test func everyCommandOfARunbookIsOne() throws {
        let known = Opsd.configuration.subcommands.compactMap { $0.configuration.commandName }
        var count = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: Self.folder.path) {
            let page = try String(
                contentsOf: Self.folder.appending(path: name), encoding: .utf8)
            for words in Self.commands(page) where known.contains(words[0]) {
                count += 1
                #expect(throws: Never.self, "\(name): \(words)") {
                    try Opsd.parseAsRoot(words)
                }
            }
        }
        #expect(count > 20)
    }
}
