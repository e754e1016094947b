import Dispatch
import Logging

/// The file with the configuration that holds, for the built-in services. Written on a thread of its
/// own, because a disk may take its time.
struct AcceptedConfiguration: Sendable {
    let path: String
    let logger: Logger

    func write(_ texts: ConfigurationTexts) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            DispatchQueue.global(qos: .utility).async {
                do {
                    try texts.write(to: path)
                } catch {
                    logger.error(
                        """
                        services that start read the configuration's own files, because the \
                        accepted one cannot be written down: \(error)
                        """,
                        metadata: ["file": "\(path)"])
                }
                continuation.resume()
            }
        }
    }
}
