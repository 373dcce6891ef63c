#include "net/transport/frame_guard.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include <caf/atom.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/io/basp/message_type.hpp>

namespace cairn {

namespace {

using caf::io::basp::message_type;

static_assert(frame_guard::header_bytes == caf::io::basp::header_size);

constexpr auto spawn_server = static_cast<std::uint64_t>(caf::atom("SpawnServ"));
constexpr auto spawn_word = static_cast<std::uint64_t>(caf::atom("spawn"));
constexpr auto default_node_word = static_cast<std::uint64_t>(caf::atom("default"));
/// A node id: its kind as an atom, process number, host hash.
constexpr std::size_t node_id_bytes = 8 + 4 + 20;
constexpr std::size_t max_type_name_bytes = 256;

/// Reads what CAF's binary serializer wrote: integers in network order, lengths in groups of seven bits.
class cursor {
public:
  explicit cursor(std::span<const char> bytes) : rest_(bytes) {}

  template <class T>
  std::optional<T> integer() {
    const auto bytes = take(sizeof(T));
    if (!bytes)
      return std::nullopt;
    std::uint64_t value = 0;
    for (const char byte : *bytes)
      value = value << 8U | static_cast<unsigned char>(byte);
    return static_cast<T>(value);
  }

  std::optional<std::size_t> length() {
    std::size_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      const auto group = integer<std::uint8_t>();
      if (!group)
        return std::nullopt;
      value |= static_cast<std::size_t>(*group & 0x7FU) << shift;
      if ((*group & 0x80U) == 0)
        return value;
    }
    return std::nullopt;
  }

  std::optional<std::string_view> text(std::size_t max_bytes) {
    const auto size = length();
    return size && *size <= max_bytes ? take(*size) : std::nullopt;
  }

  std::optional<std::string_view> take(std::size_t count) {
    if (count > rest_.size())
      return std::nullopt;
    const std::string_view taken(rest_.data(), count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  [[nodiscard]] bool at_end() const { return rest_.empty(); }

private:
  std::span<const char> rest_;
};

/// The names of a message's types, "@<>" and "+NAME" for each.
std::optional<std::string_view> type_names(cursor& in) {
  const auto number = in.integer<std::uint16_t>();
  if (!number || *number != 0)
    return std::nullopt;
  return in.text(max_type_name_bytes);
}

/// One message of Cairn's own. Their types check every length against the frame while they are read.
bool is_own_message(std::string_view names) {
  constexpr std::string_view prefix = "@<>+cairn::";
  return names.starts_with(prefix) && names.find('+', prefix.size()) == std::string_view::npos;
}

/// An error without context, or with texts in it.
bool is_plain_error(cursor& in) {
  if (!in.integer<std::uint8_t>() || !in.integer<std::uint64_t>())
    return false;
  auto names = type_names(in);
  if (!names || !names->starts_with("@<>"))
    return false;
  names->remove_prefix(3);
  for (; !names->empty(); names->remove_prefix(5))
    if (!names->starts_with("+@str"))
      return false;
  return true;
}

/// CAF's request to spawn an actor, here always one without arguments.
bool is_spawn_request(std::string_view names, cursor& in) {
  if (names != "@<>+@atom+@str+@message+@strset" || in.integer<std::uint64_t>() != spawn_word
      || !in.text(max_type_name_bytes))
    return false;
  return type_names(in) == std::optional<std::string_view>("@<>");
}

} // namespace

frame_verdict frame_guard::judge_header(std::span<const char> bytes, frame_header& header) {
  cursor in(bytes);
  header.operation = *in.integer<std::uint8_t>();
  in.take(2);
  header.flags = *in.integer<std::uint8_t>();
  header.payload_bytes = *in.integer<std::uint32_t>();
  header.operation_data = *in.integer<std::uint64_t>();
  header.source_actor = *in.integer<std::uint64_t>();
  header.dest_actor = *in.integer<std::uint64_t>();

  const auto operation = static_cast<message_type>(header.operation);
  const auto handshake =
    role_ == frame_role::server ? message_type::client_handshake : message_type::server_handshake;
  if (peer_.empty() && operation != handshake)
    return refuse(frame_verdict::close, "the first frame is not a handshake");
  auto max_bytes = max_control_bytes;
  switch (operation) {
    case message_type::direct_message: max_bytes = max_payload_bytes_; break;
    case message_type::client_handshake:
    case message_type::server_handshake:
      if (operation != handshake)
        return refuse(frame_verdict::close, "a handshake of the wrong side");
      break;
    case message_type::monitor_message:
    case message_type::down_message:
    case message_type::heartbeat: break;
    case message_type::routed_message:
      max_bytes = max_payload_bytes_;
      break; // judged, and dropped, with its payload: this is no router
    default: return refuse(frame_verdict::close, "an operation that does not exist");
  }
  if (header.payload_bytes > max_bytes)
    return refuse(frame_verdict::close, "a frame over the limit");
  if (operation != message_type::heartbeat && header.payload_bytes == 0)
    return refuse(frame_verdict::close, "a frame without its payload");
  return frame_verdict::pass;
}

frame_verdict frame_guard::judge_payload(const frame_header& header, std::span<const char> payload) {
  switch (static_cast<message_type>(header.operation)) {
    case message_type::client_handshake:
    case message_type::server_handshake: return judge_handshake(payload);
    case message_type::monitor_message:
    case message_type::down_message: return judge_notice(header, payload);
    case message_type::direct_message: return judge_message(header, payload);
    case message_type::heartbeat: return refuse(frame_verdict::close, "a heartbeat with a payload");
    default: return refuse(frame_verdict::drop, "a message to be routed elsewhere");
  }
}

/// Both handshakes begin with the peer's node id; what follows in a server's is trusted as far as TLS goes.
frame_verdict frame_guard::judge_handshake(std::span<const char> payload) {
  cursor in(payload);
  const auto node = in.take(node_id_bytes);
  if (!node || cursor(*node).integer<std::uint64_t>() != default_node_word)
    return refuse(frame_verdict::close, "a handshake without a node id");
  if (*node == self_)
    return refuse(frame_verdict::close, "a handshake in this node's own name");
  if (!peer_.empty() && *node != peer_)
    return refuse(frame_verdict::close, "a second handshake in another name");
  if (role_ == frame_role::server && !in.at_end())
    return refuse(frame_verdict::close, "a handshake that is too long");
  peer_ = *node;
  return frame_verdict::pass;
}

/// "An actor of yours is watched" and "an actor of mine has ended" come from the peer itself, for us.
frame_verdict frame_guard::judge_notice(const frame_header& header, std::span<const char> payload) {
  cursor in(payload);
  const auto source = in.take(node_id_bytes);
  const auto dest = in.take(node_id_bytes);
  if (!source || !dest)
    return refuse(frame_verdict::close, "a notice without its nodes");
  // CAF names the actor's own node as the source of its end, whoever sends it.
  const auto is_down = static_cast<message_type>(header.operation) == message_type::down_message;
  if (*source != peer_ || *dest != self_)
    return refuse(frame_verdict::drop, "a notice between other nodes");
  if (is_down && !is_plain_error(in))
    return refuse(frame_verdict::drop, "a notice with more than an error");
  return frame_verdict::pass;
}

frame_verdict frame_guard::judge_message(const frame_header& header, std::span<const char> payload) {
  cursor in(payload);
  const auto stages = in.length();
  if (!stages || *stages != 0)
    return refuse(frame_verdict::drop, "a message with a forwarding stack");
  const auto names = type_names(in);
  if (!names)
    return refuse(frame_verdict::drop, "a message without types");
  if ((header.flags & caf::io::basp::header::named_receiver_flag) != 0) {
    if (role_ == frame_role::server && header.dest_actor == spawn_server && is_spawn_request(*names, in))
      return frame_verdict::pass;
    return refuse(frame_verdict::drop, "a message to a service that is not offered");
  }
  if (is_own_message(*names))
    return frame_verdict::pass;
  if (*names == "@<>+@error" && is_plain_error(in))
    return frame_verdict::pass;
  // The answer to a spawn request.
  if (role_ == frame_role::client && *names == "@<>+@strong_actor_ptr")
    return frame_verdict::pass;
  return refuse(frame_verdict::drop, "a message of a type that is not taken");
}

} // namespace cairn
