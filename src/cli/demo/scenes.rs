//! The grammar of the demo's transcripts: what is said in calls about deliveries, bills, hotels and the like.
//! `{this|that}` is one of its alternatives; `{name}`, `{day}` and `{number}` are filled in.
//!
//! What is said in all moods, and all of the neutral scenes, avoids the words that carry a sentiment in VADER's
//! lexicon, even `please` and `help`: a test holds every scene to its mood.

/// How a call sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// The customer is happy.
    Positive,
    /// The customer is angry or sad.
    Negative,
    /// The customer only has a matter to settle.
    Neutral,
}

/// What there is to say in each mood.
pub(super) struct ByMood<T> {
    positive: T,
    negative: T,
    neutral: T,
}

impl<T: Copy> ByMood<T> {
    /// What there is to say in this one.
    pub(super) fn of(&self, mood: Mood) -> T {
        match mood {
            Mood::Positive => self.positive,
            Mood::Negative => self.negative,
            Mood::Neutral => self.neutral,
        }
    }
}

/// What a call is about, and how it goes.
pub(super) struct Scene {
    /// Why the customer calls.
    pub(super) matter: &'static str,
    /// What the agent has to say.
    pub(super) reply: &'static str,
    /// What the customer says to that.
    pub(super) reaction: &'static str,
}

/// Who calls. One name holds for a whole call.
pub(super) const NAMES: &str = "Alice|Amir|Anna|Ben|Carla|Chen|Daniel|Elif|Emma|Fatima|Hannah|Igor|Ines|Jack\
    |Jonas|Julia|Kofi|Lars|Lena|Leo|Lucia|Maria|Mark|Mei|Nadia|Nina|Noah|Olga|Omar|Paula|Pedro|Priya|Rosa\
    |Samir|Sara|Sofia|Tom|Yuki";

/// What `{day}` stands for.
pub(super) const DAYS: &str = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday";

/// All that is on a tape on which there is almost nothing.
pub(super) const NEARLY_EMPTY: &str = "{Hello?|Hello? Hello?|Sorry, wrong number.|Can you ...}";

/// How an agent answers the telephone.
pub(super) const OPENINGS: &str = "{Customer service, you are speaking to the first desk.|Service line, this call \
    is recorded for training.|This is the customer line.|Customer desk, who is calling?} {What is it \
    about?|What can I do for you today?|Tell me what this is about.}";

/// How a customer begins.
pub(super) const GREETINGS: &str =
    "{Hello, this is {name}.|Hi, {name} here.|Hello, my name is {name}.}";

/// A question, and its answer.
pub(super) const ASKING: (&str, &str) = (
    "{Let me look that up.|One moment, I am opening your file.} {What is your reference?|Your reference \
     is?|Can you read me your reference?}",
    "{It is|It says|That would be|One moment. It is} {number}{.|, I think.|, I guess.}",
);

/// What an agent says at the end.
pub(super) const CLOSINGS: ByMood<&str> = ByMood {
    positive: "{Thank you for calling, {name}.|It was a pleasure, {name}.|Thanks, that means a lot to us.} {Have a \
        lovely day!|Enjoy the rest of your day!|All the best!}",
    negative: "{I have noted your complaint.|I can only say sorry once more.|I will report the problem.} {Is there \
        anything else?|A manager will call you back.|You will hear from us.}",
    neutral: "{Is there anything else?|That is all I have to ask.|You will get a message about it.} {We are here \
        until eight.|Then I will close the file.|The line is open on {day}, too.}",
};

/// The last word of a customer.
pub(super) const GOODBYES: ByMood<&str> = ByMood {
    positive: "{Thank you, you too!|Thanks again, bye!|Same to you, that was great.}",
    negative: "{I doubt it. Bye.|That is all? How sad.|This was a waste of time.|I am done with you.}",
    neutral: "{That was all. Bye.|Until then.|Then I will wait for it. Bye.|Bye.}",
};

/// All there is to call about.
pub(super) const SCENES: ByMood<&[Scene]> = ByMood {
    positive: &[
        Scene {
            matter: "My {parcel|order|bookshelf|new kettle} {came|arrived} {a day early|two days early|this \
                morning}, and {it is perfect|I love it|it looks wonderful}. I {just wanted to say thank \
                you|had to call and tell you how happy I am}.",
            reply: "{That is great to hear|You have made my day}, {name}. I will pass your kind words on to \
                the {driver|warehouse|people at the depot}, who {will be delighted|worked really hard that \
                week}.",
            reaction: "{Please do|Yes, please}. The driver was {so friendly|very kind|really careful}, and \
                {carried it up to the third floor|even called before he came}. {Excellent service.|It was the \
                best delivery I ever had.}",
        },
        Scene {
            matter: "I {called|wrote to you} on {day} about {a line on my bill|my last invoice|the fee for the \
                second card}, and {your colleague solved it in five minutes|it was all fixed by the evening}. \
                {I am very grateful.|I am impressed, honestly.}",
            reply: "{I am glad it worked out|Wonderful, I am happy to hear that}. I can see the \
                {credit|refund} on your account, and for your patience we {took ten percent off the next \
                bill|gave you a free month}.",
            reaction: "{Oh, that is so generous, thank you!|Really? That is lovely, thanks a lot!} {I was \
                nervous at first, and you were all honest and helpful.|I trust you people, and I will stay \
                with you.}",
        },
        Scene {
            matter: "Since {day} the {internet|connection} has been {fast and stable|excellent} again, and I \
                want to thank the engineer you sent. {She|He} was {brilliant|friendly and very patient}, and \
                explained {everything|each step} to my {mother|father}.",
            reply: "{Thank you for letting us know|I am so pleased}, {name}. The line looks {healthy and \
                strong|perfect} from here, too. {I will tell the engineer, what a nice call.|I hope you enjoy \
                it!}",
            reaction: "{All good, everything works beautifully.|Yes, I am very happy with it.} {My children \
                love it, they can play again.|Now I can work from home with ease.} {Great job|Super service}, \
                really.",
        },
        Scene {
            matter: "We stayed in your hotel {by the lake|at the station|in the old mill} {last week|over the \
                weekend|in spring}, and {it was a fantastic stay|we loved every minute of it}. The \
                {breakfast|room|view|garden} was {amazing|superb|gorgeous}.",
            reply: "{How lovely|That is wonderful to hear}, {name}. {The team will be thrilled.|I will gladly \
                share that with the team.} {May I offer you a better room for your next visit?|Would you like \
                to book the same room again?}",
            reaction: "{Yes, with pleasure.|Yes, please, we would love that.} {The staff were so warm and \
                helpful.|Everyone was kind to our daughter.} We {recommend|praise} you to all our friends.",
        },
        Scene {
            matter: "I sent back {some shoes|a winter coat|a desk lamp|a suitcase} on {day}, and the refund \
                {is already here|was in my account this morning}. {That was quick and easy|I am impressed how \
                easy that was}, thank you.",
            reply: "{Happy to help|My pleasure}, {name}. {We do our best to make it easy.|I am glad it went so \
                smoothly.} {Did you find a better one?|Would you like help to find another one?}",
            reaction: "{Yes, and the new one is perfect.|Yes, and the new one is beautiful.} {I will gladly \
                buy from you again.|I feel in good hands with you.} {Thanks for the friendly card in the box, \
                too.|My sister was impressed as well.}",
        },
        Scene {
            matter: "I {called to say|have to tell you} that the new version of your app is \
                {great|fantastic|excellent}. It was {slow|a little confusing} before, and now it {runs \
                beautifully|is quick and a joy to use}.",
            reply: "{That is awesome to hear|Thank you, the developers will love this}, {name}. {Your report \
                helped us a lot.|You helped us to improve it, thank you for that.} {They worked on it all \
                winter.|It took them three months.}",
            reaction: "{Glad I could help.|My pleasure.} {The dark screen is easy on my eyes, too.|And the new \
                search is smart and useful.} {Well done, keep up the good work!|I gave it five stars, with \
                pleasure.}",
        },
        Scene {
            matter: "I would like to praise {one of your agents|the colleague I spoke to yesterday|the lady on \
                the night shift}. {She was patient and kind|She stayed calm, friendly and honest} when {my \
                father|our neighbour|my mother} needed help with {a new phone|the forms|a card}.",
            reply: "{What a lovely call, thank you.|That is so good to hear, thank you.} {I know who it was, \
                and she will be very happy.|I will tell her and her manager, with pleasure.} We are proud of \
                her.",
            reaction: "{You should be.|Yes, and rightly so.} {She took the time, made a joke and solved \
                it.|She called back twice to make sure it works.} {Such caring people are a treasure.|I wish \
                all services were as nice.}",
        },
    ],
    negative: &[
        Scene {
            matter: "My {parcel|order|fridge} {was promised for|should have come on} {day}, and it {is still \
                not here|came broken}. {This is the third time, it is terrible.|I waited at home all day for \
                nothing, I am furious.}",
            reply: "{I am sorry about that|I see, and I am sorry}. {The depot has lost the label|There was a \
                problem with the van}, and {nobody told you, which is bad|I am afraid I have no new date}.",
            reaction: "{That is ridiculous.|That is an awful service.} {I am so disappointed.|I am sick of \
                these excuses.} {Cancel it, I will buy it elsewhere.|It was a birthday present, and you have \
                ruined it.}",
        },
        Scene {
            matter: "You {charged me twice|took 89 euros too much|charged a cancelled contract} {in May|this \
                month|again}. {Nobody answers my letters, it is a disgrace.|I am angry, this is my money.}",
            reply: "{I see the error, and I regret it.|Unfortunately the system made a mistake.} {The wrong \
                amount cannot be stopped today.|It may take six weeks to correct it, I am afraid.} {I know \
                that is annoying.|I am sorry about the delay.}",
            reaction: "{That is unacceptable.|To me that is a scam.} {My account is in the red because of you, \
                and I paid a penalty.|I hate calling this line, it is useless.} {I will complain to the \
                ombudsman.|I will leave, and warn others.}",
        },
        Scene {
            matter: "The {internet|line|connection} has been {dead|down} since {day}. {I cannot work, and I \
                lose customers.|It fails every evening, it is a nightmare.} {The last engineer was rude.|Your \
                page for such problems is useless.}",
            reply: "{There is a serious fault in your street|The repair has failed, I am sorry}, and {we have \
                no date for the next one|the earliest visit is in nine days, I am afraid}. {The box was \
                damaged by water.|The cable is broken in two places.}",
            reaction: "{That is horrible.|That is a bad joke.} {I pay for a line that never works.|I am losing \
                money every day.} {Nobody cares, and all I hear is lies.|I am stressed, and so is my boss.}",
        },
        Scene {
            matter: "We are in {room 14|room 207|the room above the kitchen} of your hotel, and it {is \
                dirty|smells awful|was not cleaned}. {The heating is broken, too.|The noise last night was \
                terrible.} We are very {unhappy|upset}.",
            reply: "{I am sorry, the hotel is full.|I apologize, there is a problem with the staff this week.} \
                {I have no other room before the weekend, I am afraid.|I cannot move you, unfortunately.}",
            reaction: "{That is a disaster.|Then this holiday is ruined.} {We found bugs in the bathroom, it \
                is disgusting.|My wife is ill, and there is no warm water.} {It is the worst hotel we were \
                ever in.|We feel cheated.}",
        },
        Scene {
            matter: "I sent back {the shoes|a faulty drill|a broken lamp} {six weeks ago|in March|before \
                Easter}, and there is {no refund|not a cent} yet. {I am annoyed.|I am losing my patience.} \
                {Three agents gave me three false answers.|You ignore my mails.}",
            reply: "{The return was rejected|The refund was refused}, I am sorry. {The warehouse says that the \
                item was damaged.|The form was missing, they say.} {I cannot change that, unfortunately.|It is \
                bad news, I know.}",
            reaction: "{That is a lie.|That is simply wrong.} {It was damaged when it came.|I hate being \
                treated like a thief.} {I am disgusted with this company.|That is fraud, and I will go to \
                court.}",
        },
        Scene {
            matter: "Your app {crashes|fails|freezes} {each time I open it|when I try to pay}, since {day}. {I \
                missed my train because of it.|It has lost all my tickets.} {It is a terrible mess.|I am \
                really frustrated.}",
            reply: "{It is a known problem, I am sorry.|I am sorry, the last version is bad.} {There is no \
                solution yet.|I am afraid the tickets are lost.} {You could delete it, and start again.|The \
                developers have stopped the release.}",
            reaction: "{So I have to suffer? That is stupid.|That is a pathetic answer.} {I paid a fine of 60 \
                euros because of this.|I was stranded at night, and scared.} {It is the worst app on my \
                phone.|I will give it the bad rating that it deserves.}",
        },
        Scene {
            matter: "I want to complain about {one of your agents|the man on the line yesterday|your branch in \
                the centre}. {He was rude, and he laughed at me.|He shouted at me, and then hung up.} {I was \
                upset all evening.|My mother cried.}",
            reply: "{That is bad, and I am sorry.|I am shocked to hear that.} {I have no record of the call, \
                unfortunately.|It is hard to prove, I am afraid.} {We can only warn him.|I cannot say more \
                about it.}",
            reaction: "{So nobody is to blame?|How poor is that?} {It is a shame how you treat old people.|I \
                felt humiliated, and you do nothing.} {I have lost my trust in you.|It is an insult, and I am \
                angry.}",
        },
    ],
    neutral: &[
        Scene {
            matter: "I am calling about {a parcel|an order|two chairs} from {your autumn list|last week|the \
                shop in town}. I will be {at work|away} on {day}, and I ask if it can {go to my neighbour|come \
                after six|go to the post office}.",
            reply: "{It is in the depot now.|It goes on the van that morning.} I have {written that on the \
                order|told the depot}, and {it will be there between six and eight|you will get a message with \
                the hour}.",
            reaction: "{And the old one, do they take it with them?|And do I have to be there in person?} {I \
                will be at the back of the house.|The bell has two names on it.} {I will write it down.|Then I \
                will tell my neighbour.}",
        },
        Scene {
            matter: "I have {a question|two questions} about {the bill|the invoice|the statement} of \
                {March|last month|the spring}. There is {a line about cables|an entry of 12 euros|a second \
                address} on it, and I ask what it {means|is for}.",
            reply: "{That is the rent for the box|That is the part for the second line}, from {day} to the end \
                of the month. {It is on each bill.|It comes once a year.} {The next page has the list of the \
                items.|You can see the parts of it online.}",
            reaction: "{I see it now, on page two.|And the date below it, is that the day it is due?} {Can you \
                send it by post from now on?|Can it be taken from another account?}",
        },
        Scene {
            matter: "I am moving to {another flat|the next town|a house by the canal} on {day}, and {the \
                internet|the line} has to move, too. I ask {what you need from me|which papers I have to \
                send|how long that takes}.",
            reply: "{We have to know the address and the floor.|I only need the new address.} {It takes about \
                ten days.|An engineer comes between eight and noon.} {The box goes with you.|You get another \
                box by post.}",
            reaction: "{It is the second floor, at the back.|It is the house on the corner.} {And what do I do \
                with the old cable?|And where does the box go, in the hall?} {I am at home from nine.|My \
                brother will be there on the day.}",
        },
        Scene {
            matter: "I have booked {a room|two rooms} in your hotel from {day} on, for {two|three|four} \
                nights. We will {come by car|arrive late in the evening|bring a child's bed}, and I ask {where \
                to park|until when the desk is open|which floor it is}.",
            reply: "{The car park is behind the house.|The desk is open until eleven.|It is on the fourth \
                floor.} {Breakfast is from seven to ten.|After that you come in with the code.}",
            reaction: "{And is it far to the station on foot?|And at what time do we have to be out?} {We take \
                the train at noon.|We have two bags to store here.}",
        },
        Scene {
            matter: "I sent {a jacket|a pair of boots|a printer} back to you on {day}, by {post|courier}. {I \
                bought it in another size.|I ordered two of them, one for my sister.} I ask {how long it \
                takes|if it has arrived|what the next step is}.",
            reply: "{It arrived in the warehouse yesterday.|It is between the depot and the warehouse.} {They \
                look at it within five days.|It will be unpacked this week.} {Then the money goes to your \
                card.|You will get a mail.}",
            reaction: "{And if the card is a new one?|And the postage, is that on my side?} {I will look for \
                the mail.|Then I will call again next week.}",
        },
        Scene {
            matter: "I am setting up your app on {another phone|a tablet|my father's phone}. It asks for {a \
                code|a six digit code|the account name}, and I ask {where to find it|where that comes from|if \
                it is the one in the letter}.",
            reply: "{It went to the old phone.|It is in the last mail you got.|It is on the first line of the \
                letter.} {You type it in, and go on.|You have ten minutes to type it in.} The old phone stays \
                signed in until {day}.",
            reaction: "{I see it, it begins with a seven.|One moment, I have to get the other phone.} {And the \
                tickets, do they move with it?|And does it work abroad, too?} {Now it says that the account is \
                open.|It is at the next page now.}",
        },
    ],
};
