#include "net/courier.hpp"

#include <caf/typed_response_promise.hpp>

namespace cairn {

namespace {

using self_pointer = storage_node_actor::stateful_pointer<courier_state>;

template <class Reply, class Request>
caf::result<Reply> carry(self_pointer self, Request request) {
  auto& state = self->state;
  if (state.is_lost)
    return caf::sec::request_receiver_down;
  auto promise = self->template make_response_promise<Reply>();
  const auto number = state.next_request++;
  state.under_way.emplace(number, [promise](caf::error why) mutable { promise.deliver(std::move(why)); });
  self->request(state.node, state.request_timeout, std::move(request))
    .then(
      [=](Reply& reply) mutable {
        if (self->state.under_way.erase(number) != 0)
          promise.deliver(std::move(reply));
      },
      [=](caf::error& error) mutable {
        if (self->state.under_way.erase(number) != 0)
          promise.deliver(std::move(error));
      });
  return promise;
}

} // namespace

storage_node_actor::behavior_type courier(self_pointer self, storage_node_actor node,
                                          std::chrono::milliseconds request_timeout) {
  self->state.node = std::move(node);
  self->state.request_timeout = request_timeout;
  self->monitor(self->state.node);
  self->set_down_handler([=](const caf::down_msg&) {
    self->state.is_lost = true;
    for (auto& [number, fail] : std::exchange(self->state.under_way, {}))
      fail(caf::sec::request_receiver_down);
  });
  return {
    [=](hello& m) { return carry<hello_reply>(self, std::move(m)); },
    [=](archive_key_entire& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](archive_key_start& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](archive_key_next& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](archive_key_final& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](archive_key_cancel& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](destroy_key& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](start_conjoined_archive& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](abort_conjoined_archive& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](finish_conjoined_archive& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](gateway_start& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](purge& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](add_node& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](sync_value_file& m) { return carry<archive_reply>(self, std::move(m)); },
    [=](retrieve_start& m) { return carry<retrieve_reply>(self, std::move(m)); },
    [=](retrieve_next& m) { return carry<retrieve_reply>(self, std::move(m)); },
    [=](lookup& m) { return carry<lookup_reply>(self, std::move(m)); },
    [=](list_keys& m) { return carry<list_reply>(self, std::move(m)); },
    [=](list_versions& m) { return carry<list_reply>(self, std::move(m)); },
    [=](list_handoffs& m) { return carry<handoff_reply>(self, std::move(m)); },
    [=](list_nodes& m) { return carry<nodes_reply>(self, std::move(m)); },
    [=](get_status& m) { return carry<status_reply>(self, std::move(m)); },
  };
}

} // namespace cairn
