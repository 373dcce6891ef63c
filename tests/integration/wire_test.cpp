/// Each message over a real socket: types that one side does not know, or fields that do not travel, vanish
/// without a word.

#include "actors/interfaces.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/support/fields.hpp"

#include <typeinfo>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <gtest/gtest.h>

namespace cairn {
namespace {

template <class... Types>
struct types {};

/// Requests and replies of the node, from its interface.
template <class Signature>
struct parts_of;
template <class In, class Out>
struct parts_of<caf::typed_mpi<caf::detail::type_list<In>, caf::output_tuple<Out>>> {
  using request = In;
  using reply = Out;
};
template <class Signatures>
struct all_of_interface;
template <class... Signatures>
struct all_of_interface<caf::detail::type_list<Signatures...>> {
  template <class Visitor>
  static void visit(Visitor visitor) {
    (visitor(typename parts_of<Signatures>::request{}), ...);
    (visitor(typename parts_of<Signatures>::reply{}), ...);
  }
};
using whole_interface = all_of_interface<storage_node_actor::signatures>;

/// Sends back what it gets, whatever it is. (CAF 0.17 goes through a null pointer where a function takes
/// nothing else than its actor.)
caf::behavior echo(caf::event_based_actor* self, int) {
  self->set_default_handler(caf::reflect);
  return {[](const std::string&) {}};
}

template <class Message>
void expect_all_fields_named() {
  EXPECT_EQ(inspected_field_count<Message>(), wire_member_count<Message>()) << typeid(Message).name();
}

TEST(WireTest, InspectNamesEveryFieldOfEachMessage) {
  whole_interface::visit([]<class Message>(const Message&) { expect_all_fields_named<Message>(); });
  const auto nested = []<class... Messages>(types<Messages...>) {
    (expect_all_fields_named<Messages>(), ...);
  };
  nested(types<envelope, node_limits, segment_info, sequence_info, file_info, node_names, named_segment_key,
               receipt, byte_range, retrieved_sequence, held_segment, listed_key, held_handoff, listed_node,
               space_status, recovery_report>{});
}

TEST(WireTest, EachMessageComesThroughASocketWithAllItsFields) {
  const auto there = harness::open_network();
  const auto here_net = harness::open_network();
  auto& here = here_net->system();
  const auto near = there->system().spawn(echo, 0);
  const auto port = there->wire().listen({"127.0.0.1", 0}, caf::actor_cast<caf::strong_actor_ptr>(near), {});
  ASSERT_TRUE(port) << port.error().message;
  const auto peer = here_net->wire().connect({"127.0.0.1", *port}, std::chrono::seconds{30});
  ASSERT_TRUE(peer) << peer.error().message;
  const auto far = caf::actor_cast<caf::actor>(peer->published);
  caf::scoped_actor self(here);
  std::uint64_t next = 0;
  whole_interface::visit([&]<class Message>(Message message) {
    fill_fields(message, next);
    const auto sent = tell_fields(message);
    self->request(far, std::chrono::seconds{30}, message)
      .receive([&](Message& back) { EXPECT_EQ(tell_fields(back), sent) << typeid(Message).name(); },
               [&](const caf::error& error) {
                 ADD_FAILURE() << typeid(Message).name() << ": " << here.render(error);
               });
  });
  caf::anon_send_exit(near, caf::exit_reason::user_shutdown);
}

} // namespace
} // namespace cairn
