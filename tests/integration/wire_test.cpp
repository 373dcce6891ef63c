/// Each message over a real socket: types that one side does not know, or fields that do not travel, vanish
/// without a word.

#include "actors/interfaces.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/support/fields.hpp"

#include <memory>
#include <typeinfo>
#include <vector>

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
  static void visit_requests(Visitor visitor) {
    (visitor(typename parts_of<Signatures>::request{}), ...);
  }
  template <class Visitor>
  static void visit_replies(Visitor visitor) {
    (visitor(typename parts_of<Signatures>::reply{}), ...);
  }
  template <class Visitor>
  static void visit(Visitor visitor) {
    visit_requests(visitor);
    visit_replies(visitor);
  }
};
using whole_interface = all_of_interface<storage_node_actor::signatures>;

/// Sends back what it gets, whatever it is; list_hosted gets the reply with the number of its version.
caf::behavior answer(caf::event_based_actor* self,
                     const std::shared_ptr<const std::vector<caf::message>>& replies) {
  self->set_default_handler(caf::reflect);
  return {[replies](const list_hosted& which) { return replies->at(which.version); }};
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
  // A node's port takes requests alone, so replies begin their way there.
  auto replies = std::make_shared<std::vector<caf::message>>();
  std::vector<std::vector<std::string>> sent_replies;
  std::uint64_t next = 0;
  whole_interface::visit_replies([&]<class Message>(Message message) {
    fill_fields(message, next);
    sent_replies.push_back(tell_fields(message));
    replies->push_back(caf::make_message(message));
  });
  const auto near = there->system().spawn(answer, std::shared_ptr<const std::vector<caf::message>>(replies));
  const auto port = there->wire().listen({"127.0.0.1", 0}, caf::actor_cast<caf::strong_actor_ptr>(near), {});
  ASSERT_TRUE(port) << port.error().message;
  const auto peer = here_net->wire().connect({"127.0.0.1", *port}, std::chrono::seconds{30});
  ASSERT_TRUE(peer) << peer.error().message;
  const auto far = caf::actor_cast<caf::actor>(peer->published);
  caf::scoped_actor self(here);
  const auto expect_back = [&]<class Message>(Message, auto question, const std::vector<std::string>& sent) {
    self->request(far, std::chrono::seconds{30}, std::move(question))
      .receive([&](Message& back) { EXPECT_EQ(tell_fields(back), sent) << typeid(Message).name(); },
               [&](const caf::error& error) {
                 ADD_FAILURE() << typeid(Message).name() << ": " << here.render(error);
               });
  };
  whole_interface::visit_requests([&]<class Message>(Message message) {
    fill_fields(message, next);
    expect_back(Message{}, message, tell_fields(message));
  });
  std::uint32_t number = 0;
  whole_interface::visit_replies([&]<class Message>(const Message&) {
    expect_back(Message{}, list_hosted{number}, sent_replies[number]);
    ++number;
  });
  caf::anon_send_exit(near, caf::exit_reason::user_shutdown);
}

} // namespace
} // namespace cairn
