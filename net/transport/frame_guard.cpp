#include "net/transport/frame_guard.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <optional>

#include <caf/atom.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/io/basp/message_type.hpp>
#include <caf/message_id.hpp>

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

constexpr std::string_view own_prefix = "@<>+cairn::";

/// What a client may send, in byte order. None of them carries an actor's handle, of which CAF would make a
/// proxy, and a route to whatever process the handle says that it belongs to.
constexpr std::array<std::string_view, 27> requests{
  "abort_conjoined_archive",
  "add_node",
  "archive_key_cancel",
  "archive_key_entire",
  "archive_key_final",
  "archive_key_next",
  "archive_key_start",
  "destroy_key",
  "end_node",
  "find_node",
  "finish_conjoined_archive",
  "gateway_start",
  "get_status",
  "heartbeat",
  "hello",
  "list_handoffs",
  "list_hosted",
  "list_keys",
  "list_nodes",
  "list_versions",
  "lookup",
  "purge",
  "retrieve_next",
  "retrieve_start",
  "start_conjoined_archive",
  "start_node",
  "sync_value_file",
};
static_assert(std::ranges::is_sorted(requests));

/// One message of Cairn's own. Their types check every length against the frame while they are read.
bool is_own_message(std::string_view names) {
  return names.starts_with(own_prefix) && names.find('+', own_prefix.size()) == std::string_view::npos;
}

bool is_own_request(std::string_view names) {
  return names.starts_with(own_prefix)
         && std::ranges::binary_search(requests, names.substr(own_prefix.size()));
}

/// Whether CAF itself numbers messages so. It takes a message's queue from its number, and reads what lies in
/// the queues of streams as stream messages, whatever they are. A response finds its question by the number
/// alone, whoever sends it; a node asks its clients nothing.
bool is_message_number(std::uint64_t number, frame_role role) {
  const caf::message_id id(number);
  if (id.is_stream_message() || id.is_answered())
    return false;
  if (id.is_response())
    return role == frame_role::client && id.request_id().integer_value() != 0;
  return id.is_async() || id.is_request();
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
    case message_type::direct_message:
      max_bytes = max_payload_bytes_;
      if (!is_message_number(header.operation_data, role_))
        return refuse(frame_verdict::close, "a message numbered as none is sent here");
      break;
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
  if (is_down)
    sources_.erase(header.source_actor); // CAF ends its proxy, and the node the session that monitors it
  return frame_verdict::pass;
}

frame_verdict frame_guard::judge_message(const frame_header& header, std::span<const char> payload) {
  const auto verdict = judge_content(header, payload);
  return verdict == frame_verdict::pass ? admit_source(header.source_actor) : verdict;
}

/// Clients that ask from a new actor each time keep within the bound: CAF tells of each that ends.
frame_verdict frame_guard::admit_source(std::uint64_t source_actor) {
  if (role_ == frame_role::client || source_actor == 0 || sources_.contains(source_actor))
    return frame_verdict::pass;
  if (sources_.size() == max_sources)
    return refuse(frame_verdict::close, "more actors than one connection may have");
  try {
    sources_.insert(source_actor);
  } catch (const std::bad_alloc&) {
    return refuse(frame_verdict::close, "no memory for one more actor");
  }
  return frame_verdict::pass;
}

frame_verdict frame_guard::judge_content(const frame_header& header, std::span<const char> payload) {
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
  if (role_ == frame_role::server)
    return is_own_request(*names) ? frame_verdict::pass
                                  : refuse(frame_verdict::drop, "a message that is no request");
  if (is_own_message(*names))
    return frame_verdict::pass;
  if (*names == "@<>+@error" && is_plain_error(in))
    return frame_verdict::pass;
  // The answer to a spawn request.
  if (*names == "@<>+@strong_actor_ptr")
    return frame_verdict::pass;
  return refuse(frame_verdict::drop, "a message of a type that is not taken");
}

} // namespace cairn
