#pragma once
/// Judges each frame of CAF's wire protocol (BASP, version of CAF 0.17) before CAF sees it: what CAF would
/// follow blindly - sizes, names, addresses, types - is compared with what Cairn's programs really send.
/// Source of the format: CAF 0.17.6, libcaf_io (basp::header, basp::instance, message::load).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

namespace cairn {

/// What is to be done with a frame.
enum class frame_verdict : std::uint8_t {
  pass,  ///< hand it to CAF
  drop,  ///< harmless, but not for us: CAF never hears of it
  close, ///< the peer does not speak the protocol, or is up to no good: end the connection
};

/// The part of a header that decides how its payload is read.
struct frame_header {
  std::uint8_t operation = 0;
  std::uint8_t flags = 0;
  std::uint32_t payload_bytes = 0;
  std::uint64_t operation_data = 0;
  std::uint64_t source_actor = 0;
  std::uint64_t dest_actor = 0;
};

enum class frame_role : std::uint8_t { server, client };

/// One connection's frames, in order. A pure state machine: no I/O, never throws; of what a frame claims it
/// keeps the peer's name and max_sources numbers at most.
class frame_guard {
public:
  static constexpr std::size_t header_bytes = 32;
  /// Of a handshake, and of notices about actors.
  static constexpr std::uint32_t max_control_bytes = 64 * 1024;
  /// Actors of a client that send to this process and have not ended: CAF makes a proxy for each, and a node
  /// a session for each that says hello.
  static constexpr std::size_t max_sources = 4'096;

  /// @param self this process's node id as CAF writes it
  frame_guard(frame_role role, std::uint32_t max_payload_bytes, std::string self)
      : role_(role), max_payload_bytes_(max_payload_bytes), self_(std::move(self)) {}

  /// Judges a header before room is made for its payload.
  /// @param bytes header_bytes of them
  frame_verdict judge_header(std::span<const char> bytes, frame_header& header);
  /// Judges a payload that is there, `header.payload_bytes` long.
  frame_verdict judge_payload(const frame_header& header, std::span<const char> payload);

  /// The peer's node id as CAF writes it; empty until its handshake has passed.
  [[nodiscard]] const std::string& peer() const { return peer_; }
  /// Why the last frame did not pass.
  [[nodiscard]] std::string_view reason() const { return reason_; }

private:
  frame_verdict refuse(frame_verdict verdict, std::string_view reason) {
    reason_ = reason;
    return verdict;
  }
  frame_verdict judge_handshake(std::span<const char> payload);
  frame_verdict judge_notice(const frame_header& header, std::span<const char> payload);
  frame_verdict judge_message(const frame_header& header, std::span<const char> payload);
  frame_verdict judge_content(const frame_header& header, std::span<const char> payload);
  frame_verdict admit_source(std::uint64_t source_actor);

  frame_role role_;
  std::uint32_t max_payload_bytes_;
  std::string self_;
  std::string peer_;
  std::unordered_set<std::uint64_t> sources_; ///< of a server: the client's actors of which CAF has a proxy
  std::string_view reason_;
};

} // namespace cairn
