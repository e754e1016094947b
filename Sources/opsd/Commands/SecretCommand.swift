import ArgumentParser
import Foundation
import StrictYAML
import TradingHTTP

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

struct SecretCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secret",
        abstract: "Makes the key of encrypted values, and encrypts values with it.",
        discussion: """
            Example: opsd secret keygen --out data/secret.key
                     opsd secret encrypt < password.txt
            """,
        subcommands: [SecretKeygenCommand.self, SecretEncryptCommand.self])
}

struct SecretKeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Writes a new key to a file that does not exist yet, for its owner only.",
        discussion: "Example: opsd secret keygen --out data/secret.key")

    @OptionGroup var options: CommonOptions

    @Option(help: "The file (default: secrets.key_file of the configuration).")
    var out: String?

    func run() throws {
        let path = try out ?? KeyFileChoice(options: options).path()
        // No key is ever lost to this command: what it had encrypted would be lost too.
        guard access(path, F_OK) != 0 else {
            throw CommandFailure(
                .refused, "\(path) exists; name another file with --out, or move it away first")
        }
        do {
            let text = SecretKey.newFileText()
            try PrivateFile.create(path, text)
            // Somebody else may have been quicker, and then that key stands.
            guard try KeyFile.read(path).text == text.trimmingLineBreaksAtEnd() else {
                throw CommandFailure(.refused, "\(path) exists; name another file with --out")
            }
        } catch let error as FileWriteError {
            throw CommandFailure(.unknown, "\(error)")
        } catch let error as SecretKeyError {
            throw CommandFailure(.unknown, "\(error)")
        }
        options.show("wrote a new key to \(path)") { $0.member("file", path) }
    }
}

struct SecretEncryptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encrypt",
        abstract: "Encrypts what it reads from standard input, for use as a value.",
        discussion: """
            On a terminal it asks, and shows nothing of what is typed. A line break at the end is no \
            part of the value.
            Example: opsd secret encrypt < password.txt
            """)

    @OptionGroup var options: CommonOptions

    @Option(help: "The key's file (default: secrets.key_file of the configuration).")
    var keyFile: String?

    func run() throws {
        let path = try keyFile ?? KeyFileChoice(options: options).path()
        let text: String
        do {
            let key = try SecretKey.load(path)
            text = try key.encrypt(try SecretInput.text())
        } catch let error as SecretKeyError {
            throw CommandFailure(.badInput, "\(error)")
        }
        options.show(text) { $0.member("value", text) }
    }
}

/// Which key file the configuration names. The configuration itself need not be in order: it may
/// hold values that this very key is to be made for.
struct KeyFileChoice {
    let options: CommonOptions

    func path() throws(CommandFailure) -> String {
        do {
            let file = try ConfigurationLocator().find(options.file)
            let document = try YAMLDocument(path: AbsolutePath.of(file), name: file)
            return SecretKeyAccess.of(
                document, environment: Configuration.processVariable,
                folder: AbsolutePath.folder(of: AbsolutePath.of(file))
            ).path
        } catch {
            throw CommandFailure(.badInput, "\(error)")
        }
    }
}

/// A secret from standard input: never from the command line, where every user of the machine can
/// read it.
enum SecretInput {
    private static let byteCountMax = 1 << 20

    static func text() throws(CommandFailure) -> String {
        let bytes = isatty(STDIN_FILENO) == 1 ? try ask() : try readAll()
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw CommandFailure(.badInput, "standard input: not UTF-8 text; encode it first")
        }
        let plain = text.trimmingLineBreaksAtEnd()
        guard !plain.isEmpty else {
            throw CommandFailure(
                .badInput, "standard input is empty; write the value to it, as in '< password.txt'")
        }
        return plain
    }

    private static func readAll() throws(CommandFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = buffer.withUnsafeMutableBytes { span in
                read(STDIN_FILENO, span.baseAddress, span.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw CommandFailure(
                    .unknown, "standard input cannot be read: \(String(cString: strerror(errno)))")
            }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[0..<count])
            guard bytes.count <= byteCountMax else {
                throw CommandFailure(
                    .badInput,
                    "standard input has more than \(byteCountMax) bytes; that is no secret")
            }
        }
    }

    private static func ask() throws(CommandFailure) -> [UInt8] {
        var usual = termios()
        guard tcgetattr(STDIN_FILENO, &usual) == 0 else {
            throw CommandFailure(.unknown, "the terminal cannot be asked not to echo")
        }
        var silent = usual
        silent.c_lflag &= ~tcflag_t(ECHO)
        guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0 else {
            throw CommandFailure(.unknown, "the terminal cannot be asked not to echo")
        }
        defer { tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual) }
        FileHandle.standardError.write(Data("value: ".utf8))
        let line = readLine(strippingNewline: true) ?? ""
        FileHandle.standardError.write(Data("\n".utf8))
        return Array(line.utf8)
    }
}
