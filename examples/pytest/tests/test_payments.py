"""Payments by telephone, from the payer's first key to the charge."""


def test_a_monthly_fee_is_paid(replay_call):
    """Green: the payer hears 232.00, pays by card, and is charged once."""
    call = replay_call(
        {
            "given": {"key": "200001", "amount": "232.00", "order_id": "ord-1", "description": "Mensualidad"},
            "caller": {"profile": "fast"},
            "expect": {"outcome": "approved", "charges": 1},
        }
    )
    assert call.passed
    assert call.entries == {"payment_key": ["200001"], "accept": ["1"]}
    assert "declined" not in call.heard


def test_an_enrolment_is_told_with_its_tax(replay_call):
    """Red, since the shop forgets the tax: the payer hears 500.00 instead of 580.00."""
    call = replay_call(
        {
            "given": {"key": "200002", "amount": "580.00", "order_id": "ord-2", "description": "Inscripción"},
            "caller": {"profile": "fast"},
            "expect": {"outcome": "approved"},
        }
    )
    assert call.passed
