#pragma once
/// What a link says: its errors, and its events.

#include "actors/interfaces.hpp"

#include <string>

#include <caf/actor_system.hpp>
#include <caf/error.hpp>

namespace cairn {

/// Why a link did not get a request answered, as the error of that request. CAF's own errors
/// (request_timeout, request_receiver_down) occur too; each is unknown.
enum class link_errc : std::uint8_t {
  not_reachable = 1, ///< definite: it was never sent. The link goes on trying
  connection_lost,   ///< unknown: it was under way; cancel it, or repeat it
  refused,           ///< not of requests: the host or the node does not take this client; the text says why
};

/// subscriber -> link: tell me what becomes of you. Answered at once with the last event, if there was one.
struct subscribe_link {};
struct unsubscribe_link {};

/// link -> subscriber: the node is reachable; requests are carried.
struct link_connected {
  hello_reply hello; ///< ids are leased anew each time
};
/// link -> subscriber: it is not, or still not and for another reason. The link goes on trying.
struct link_lost {
  link_errc what = link_errc::not_reachable;
  std::string why;
};

/// session -> its owner: the node took the client.
struct session_greeted {
  hello_reply hello;
};

/// Who is told. Any actor may subscribe that takes these.
using link_subscriber = caf::typed_actor<caf::reacts_to<link_connected>, caf::reacts_to<link_lost>>;
using session_owner = caf::typed_actor<caf::reacts_to<session_greeted>>;

/// A link as others see it: the node, and events about it.
using node_link_actor =
  storage_node_actor::extend<caf::reacts_to<subscribe_link>, caf::reacts_to<unsubscribe_link>>;

} // namespace cairn

CAF_ERROR_CODE_ENUM(cairn::link_errc, "link")
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::subscribe_link)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::unsubscribe_link)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::link_connected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::link_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::session_greeted)

namespace cairn {

/// An error whose text is for a person.
inline caf::error link_error(link_errc what, std::string why) {
  return caf::make_error(what, std::move(why));
}
/// Which, and why. An error of CAF's is a lost connection.
link_lost explain_loss(const caf::error& reason, const caf::actor_system& system);

} // namespace cairn
